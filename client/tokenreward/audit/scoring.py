"""Asking the service for the log-probs of every branch, once.

All labels' rewards are computed here from them. They are those that the service itself would have given: the same pure
functions of the same float32 log-probs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tokenreward.audit.plan import Label, Request, requests
from tokenreward.audit.score_store import ScoreStore, name_of
from tokenreward.audit.scored import Scored, Scores
from tokenreward.audit.sets import Response
from tokenreward.dataset.progress import Progress
from tokenreward.errors import BadInput, JobFailed
from tokenreward.estimators import LogProbs, Moments, resolve
from tokenreward.http import Client
from tokenreward.schema import ItemResult, JobState, ModelInfo, Provenance


def score(
    client: Client,
    wanted: Iterable[tuple[Response, Sequence[Label]]],
    model: ModelInfo,
    progress: Progress,
    store: ScoreStore | None = None,
) -> Scores:
    """Score responses under every branch that their labels read, and under the bare prompt.

    Args:
        client: A client of the service.
        wanted: The responses, each with the labels to be measured on it. Equal ones are scored once.
        model: The audited model.
        progress: Is told of every response.
        store: What was scored before, and where results are kept. Those of a template that names models are not: an
            adapter of that name may be another one by now.

    Raises:
        BadInput: The service means other templates or estimators by the same names.
        JobFailed: A job was cancelled.
        ConnectionFailed: The service cannot be reached.
    """
    distinct = _distinct(wanted)
    scored = {one.response.key: Scored(one.response.text, one.response.context, one.response.spans) for one in distinct}
    jobs = _jobs(distinct, scored)
    total = sum(len(job.items) for job in jobs)
    with store or ScoreStore(None) as kept:
        stores = [ScoreStore(None) if job.request.template.models else kept for job in jobs]
        before = [place.known(_stored_name(job, model), job.items) for job, place in zip(jobs, stores, strict=True)]
        progress.begin(total, sum(map(len, before)))
        for job, place, known in zip(jobs, stores, before, strict=True):
            for index, result in known.items():
                job.take(index, result)
            if len(known) < len(job.items):
                _run(client, job, model, [n for n in range(len(job.items)) if n not in known], progress, place)
    for one in distinct:
        _check_context(scored[one.response.key], one.labels.values())
    return Scores(scored, model.fingerprint)


@dataclass(frozen=True)
class _Wanted:
    """A response, and the labels by name that are measured on it."""

    response: Response
    labels: dict[str, Label]


@dataclass(frozen=True)
class _Job:
    """A request with its items, and the responses that each item's result is for."""

    request: Request
    items: list[dict[str, Any]]
    targets: list[list[Scored]]

    def take(self, index: int, result: ItemResult) -> None:
        """Hand an item's result to the responses that it is for."""
        for target in self.targets[index]:
            _take(result, self.request, target)


def _distinct(wanted: Iterable[tuple[Response, Sequence[Label]]]) -> list[_Wanted]:
    found: dict[tuple[str, str, str], _Wanted] = {}
    for response, labels in wanted:
        one = found.setdefault(response.key, _Wanted(response, {}))
        one.labels.update({label.name: label for label in labels})
    # Twins come together, so that an engine reads what they have in common once.
    return [found[key] for key in sorted(found)]


def _jobs(distinct: Sequence[_Wanted], scored: Mapping[tuple[str, str, str], Scored]) -> list[_Job]:
    """Return one job for each request. Responses that differ in nothing that it shows are one item."""
    plans: dict[tuple[str, ...], list[Request]] = {}
    jobs: dict[tuple[str | bool, ...], _Job] = {}
    places: dict[tuple[str | bool, ...], int] = {}
    for one in distinct:
        names = tuple(one.labels)
        if names not in plans:
            plans[names] = requests(one.labels.values())
        for request in plans[names]:
            name = (request.template.hash, request.estimator, request.model or "", request.moments)
            job = jobs.setdefault(name, _Job(request, [], []))
            place = places.setdefault((*name, *one.response.key_with(request.fields)), len(job.items))
            if place == len(job.items):
                job.items.append(one.response.item(request.fields))
                job.targets.append([])
            job.targets[place].append(scored[one.response.key])
    return list(jobs.values())


def _run(
    client: Client, job: _Job, model: ModelInfo, missing: Sequence[int], progress: Progress, store: ScoreStore
) -> None:
    """Have the service score the missing items of a job, and keep what it answers."""
    created = client.jobs.create(
        iter([job.items[index] for index in missing]),
        # Every job is scored by the same set-up: log-probs of two would be contrasted otherwise.
        model=job.request.model or f"{model.name}@{model.fingerprint_digest}",
        template=job.request.sent,
        estimator=job.request.estimator,
        include=["logprobs", "tokens", "moments"] if job.request.moments else ["logprobs", "tokens"],
    )
    try:
        _check(created.provenance, job.request)
        with store.writing(_stored_name(job, model)) as writer:
            for result in client.jobs.results(created.id):
                index = missing[result.index]
                job.take(index, result)
                writer.add(job.items[index], result)
                progress.advance(len(result.token_ids or ()))
        ended = client.jobs.get(created.id)
        if ended.state is not JobState.succeeded:
            raise JobFailed(ended)
    finally:
        client.jobs.delete(created.id)


def _stored_name(job: _Job, model: ModelInfo) -> str:
    """Return where a job's results are kept: they are those of one set-up, template and estimator."""
    asked = job.request.model
    fingerprint = model.fingerprint_digest if asked is None else asked.rpartition("@")[2]
    return name_of(fingerprint, job.request.template.hash, job.request.estimator, moments=job.request.moments)


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
        scored.logprobs[content] = _rows(result.logprobs, branch, repeated=content.each is not None)
        if result.moments is not None and content.each is None:
            own = result.moments[branch]
            scored.moments[content] = Moments(np.array(own.entropy, np.float32), np.array(own.variance, np.float32))


def _rows(logprobs: Mapping[str, Sequence[float]], branch: str, *, repeated: bool) -> LogProbs:
    """Return a branch's log-probs, float32 `[T]`; those of its repetitions as `[K, T]`."""
    if not repeated:
        return np.asarray(logprobs[branch], dtype=np.float32)
    numbered = [name for name in logprobs if name.partition("[")[0] == branch]
    return np.asarray([logprobs[f"{branch}[{number}]"] for number in range(len(numbered))], dtype=np.float32)


def _check_context(scored: Scored, labels: Iterable[Label]) -> None:
    """Make a response whose context fields an estimator cannot use one that could not be scored."""
    for label in labels:
        if scored.error is None and label.estimator.fields:
            try:
                scored.rewards(label)
            except BadInput as error:
                scored.error = str(error)
