"""Asks the service for the log-probs of every branch, once, and computes all labels' rewards from them here.

The rewards are those that the service itself would have given: the same pure functions of the same float32 log-probs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.plan import PLAIN, Content, Label, Request, requests
from tokenreward.audit.sets import Prompt
from tokenreward.dataset.progress import Progress
from tokenreward.errors import BadInput, JobFailed
from tokenreward.estimators import Rewards, resolve
from tokenreward.http import Client
from tokenreward.schema import Fingerprint, ItemResult, JobState, Provenance


@dataclass(frozen=True)
class Response:
    prompt: Prompt
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """Equal for what need not be scored twice."""
        return (self.prompt if isinstance(self.prompt, str) else repr(self.prompt)), self.text

    def item(self) -> dict[str, Any]:
        return {"prompt": self.prompt, "response": self.text}


@dataclass
class Scored:
    """One response: its tokens, and its log-probs by what the branch says.

    token_ids, tokens: [T].  offsets: int [T, 2], characters of the response.  logprobs: float32 [T] each.
    error: why there is nothing of that.
    """

    token_ids: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    offsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    logprobs: dict[Content, NDArray[np.float32]] = field(default_factory=dict)
    error: str | None = None

    def rewards(self, label: Label) -> Rewards:
        """float32 [T] in [-0.5, 0.5]."""
        read = {branch: self.logprobs[content] for branch, content in label.contents.items()}
        return label.estimator.rewards(read)

    @property
    def plain(self) -> NDArray[np.float64]:
        """[T]: log p(y_t | x, y_<t)."""
        return self.logprobs[PLAIN].astype(np.float64)


@dataclass(frozen=True)
class Scores:
    """All responses of an audit by their `Response.key`, and the set-up that scored them."""

    by_key: dict[tuple[str, str], Scored]
    fingerprint: Fingerprint

    def of(self, response: Response) -> Scored:
        return self.by_key[response.key]


def score(
    client: Client, responses: Sequence[Response], labels: Sequence[Label], model: str | None, progress: Progress
) -> Scores:
    """Log-probs of every branch that `labels` read, and of the bare prompt. Raises as the client does."""
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
    """The service must mean by these names what is meant here."""
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
