"""Asking the service for the log-probs of every branch, once.

All labels' rewards are computed here from them. They are those that the service itself would have given: the same pure
functions of the same float32 log-probs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokenreward.audit.plan import Label, Request, requests
from tokenreward.audit.scored import Response, Scored, Scores
from tokenreward.dataset.progress import Progress
from tokenreward.errors import BadInput, JobFailed
from tokenreward.estimators import resolve
from tokenreward.http import Client
from tokenreward.schema import ItemResult, JobState, Provenance


def score(
    client: Client, responses: Sequence[Response], labels: Sequence[Label], model: str | None, progress: Progress
) -> Scores:
    """Score all responses under every branch that `labels` read, and under the bare prompt.

    Args:
        client: A client of the service.
        responses: The responses. Equal ones are scored once.
        labels: The labels to be measured.
        model: The model to ask for, or None.
        progress: Is told of every response.

    Raises:
        BadInput: The service means other templates or estimators by the same names.
        JobFailed: A job was cancelled.
        ConnectionFailed: The service cannot be reached.
    """
    # Twins come together, so that an engine reads what they have in common once.
    distinct = sorted({response.key: response for response in responses}.values(), key=lambda response: response.key)
    found = [Scored() for _ in distinct]
    asked = requests(labels)
    provenance: Provenance | None = None
    progress.begin(len(distinct) * len(asked), 0)
    for request in asked:
        provenance = _one_job(client, request, distinct, found, model, progress)
        # Every further job must be scored by the same set-up: log-probs of two would be contrasted otherwise.
        model = f"{provenance.fingerprint.model}@{provenance.fingerprint_digest}"
    assert provenance is not None
    scored = {response.key: one for response, one in zip(distinct, found, strict=True)}
    return Scores(scored, provenance.fingerprint)


def _one_job(
    client: Client,
    request: Request,
    responses: Sequence[Response],
    found: Sequence[Scored],
    model: str | None,
    progress: Progress,
) -> Provenance:
    job = client.jobs.create(
        (response.item() for response in responses),
        model=model,
        template=request.sent,
        estimator=request.estimator,
        include=["logprobs", "tokens"],
    )
    try:
        _check(job.provenance, request)
        for result in client.jobs.results(job.id):
            _take(result, request, found[result.index])
            progress.advance(len(result.token_ids or ()))
        ended = client.jobs.get(job.id)
        if ended.state is not JobState.succeeded:
            raise JobFailed(ended)
    finally:
        client.jobs.delete(job.id)
    return job.provenance


def _check(provenance: Provenance, request: Request) -> None:
    """Raise BadInput unless the service means the same as this version by the names of the request."""
    pairs = (
        ("template", request.template.name, request.template.hash, provenance.template_hash),
        ("estimator", request.estimator, resolve(request.estimator).hash, provenance.estimator_hash),
    )
    for kind, name, ours, theirs in pairs:
        if ours != theirs:
            raise BadInput(
                f"the service's {kind} {name!r} is another than this version's ({theirs}, not {ours}); it runs"
                f" tokenreward {provenance.tokenreward_version}: bring both to one version"
            )


def _take(result: ItemResult, request: Request, scored: Scored) -> None:
    if result.error is not None:
        scored.error = scored.error or f"{result.error.code}: {result.error.message}"
        return
    if result.logprobs is None or result.tokens is None or result.offsets is None or result.token_ids is None:
        raise BadInput(f"response {result.index}: the service left out log-probs or tokens, which were asked for")
    if scored.token_ids and scored.token_ids != result.token_ids:
        raise BadInput(f"response {result.index}: the service cut it into other tokens than before")
    scored.token_ids, scored.tokens = result.token_ids, result.tokens
    scored.offsets = np.asarray(result.offsets, dtype=np.int64).reshape(-1, 2)
    for branch, content in request.contents.items():
        scored.logprobs[content] = np.asarray(result.logprobs[branch], dtype=np.float32)
