"""The loop of a labeling run: chunks become jobs, several in flight, and their results become labeled parts."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.base import Sink
from tokenreward.dataset.chunks import Chunk, Survey
from tokenreward.dataset.columns import label_columns
from tokenreward.dataset.progress import Progress
from tokenreward.dataset.resume import Done, RunState
from tokenreward.dataset.row_layout import Layout
from tokenreward.dataset.scoring_options import ScoringOptions
from tokenreward.errors import BadInput, ConnectionFailed, JobFailed, TokenRewardError
from tokenreward.html.escaping import visible
from tokenreward.http import Client
from tokenreward.schema import ItemResult, Job, JobState, Origin

#: Cancelled jobs of one chunk after which labeling gives up.
_ATTEMPTS = 5


@dataclass(frozen=True)
class LabelOptions:
    """The options of a run.

    Attributes:
        scoring: How the responses are scored.
        model: The model asked for, or None.
        jobs_in_flight: How many jobs the service has at a time.
        keep_jobs: Whether finished jobs stay on the service with their items and results.
        name: What lists of jobs call the input.
    """

    scoring: ScoringOptions
    model: str | None
    jobs_in_flight: int
    keep_jobs: bool
    name: str | None = None


class LabelRun:
    """One run: submit a chunk and, when enough are in flight, collect the oldest."""

    def __init__(
        self, client: Client, state: RunState, sink: Sink, layout: Layout, options: LabelOptions, shown: Progress
    ) -> None:
        self._client, self._state, self._sink, self._layout = client, state, sink, layout
        self._options, self._shown = options, shown
        self._noted = ""

    def run(self, work: Iterator[Chunk], extent: Survey) -> None:
        """Label all chunks that an earlier run has not finished.

        Args:
            work: All chunks, in order.
            extent: The size of the input, for progress.

        Raises:
            BadInput: The input changed since the run began.
            JobFailed: A job was cancelled while its results were read, or every job made for one chunk was.
            ConnectionFailed: The service cannot be reached, or answers with something else than labels.
        """
        done = self._state.done
        # What an earlier run has done is of the usual size, as far as anybody knows.
        before = sum(d.responses for d in done.values())
        self._shown.begin(extent.responses, before, extent.bytes * (extent.responses - before) // extent.responses)
        in_flight: deque[tuple[Chunk, Job]] = deque()
        for chunk in work:
            if chunk.number in done:
                if done[chunk.number].digest != chunk.digest:
                    raise BadInput("the input changed while it was being labeled")
                continue
            in_flight.append((chunk, self._submit(chunk)))
            if len(in_flight) >= self._options.jobs_in_flight:
                self._collect(*in_flight.popleft())
        while in_flight:
            self._collect(*in_flight.popleft())

    def _submit(self, chunk: Chunk) -> Job:
        """Return the chunk's job: the one that an earlier run created, unless that job came to nothing."""
        for attempt in range(_ATTEMPTS):
            model, scoring = self._model(chunk.number), self._options.scoring
            job = self._client.jobs.create(
                chunk.items,
                model=model,
                template=scoring.template,
                estimator=scoring.estimator,
                parameters=scoring.parameters,
                pool=scoring.pool,
                pool_by=scoring.pool_by,
                include=scoring.include,
                top_k=scoring.top_k,
                models=self._models(chunk.number),
                origin=self._origin(),
                idempotency_key=self._state.key(chunk.number, attempt, chunk.digest, model),
            )
            if job.state is not JobState.cancelled:
                break
        else:
            raise JobFailed(job)
        self._state.learn(job.provenance)
        if job.waiting is not None and job.waiting.message != self._noted:
            self._noted = job.waiting.message
            self._shown.note(visible(f"job {job.id} {self._noted}"))
        return job

    def _origin(self) -> Origin:
        sides = self._layout.sides
        return Origin(name=self._options.name, run=self._state.run, sides=list(sides) if len(sides) > 1 else [])

    def _model(self, number: int) -> str | None:
        """Return the model to ask for. After the first job, every other must go to exactly the same set-up.

        Every run asks for the first one in the same words: under its idempotency key, other words would be refused.
        """
        if number == 0 or (known := self._state.provenance) is None:
            return self._options.model
        return f"{known.fingerprint.model}@{known.fingerprint_digest}"

    def _models(self, number: int) -> Mapping[str, str]:
        """Return what scores each branch, likewise: the first job decides on the version of an adapter."""
        if number == 0 or (known := self._state.provenance) is None:
            return self._options.scoring.models
        return {branch: use.name for use in known.models for branch in use.branches}

    def _collect(self, chunk: Chunk, job: Job) -> None:
        results = []
        sizes = map(len, chunk.items)
        for result in self._client.jobs.results(job.id):
            self._shown.advance(len(result.token_ids or ()), work=next(sizes, 0))
            results.append(result)
        ended = self._client.jobs.get(job.id)
        if ended.state is not JobState.succeeded:
            raise JobFailed(ended)
        self._state.learn(ended.provenance)  # a retry may have pinned the job anew
        _check(chunk, job, results)
        part, scoring = self._state.part(chunk.number), self._options.scoring
        with replace(part) as file:
            columns = label_columns(results, self._layout.sides, scoring.include, turns=scoring.score == "all")
            self._sink.write(Path(file.name), chunk.payload, columns)
        self._state.finish(chunk.number, _counted(chunk, results))
        if not self._options.keep_jobs:
            with contextlib.suppress(TokenRewardError):  # the service removes old jobs by itself
                self._client.jobs.empty(job.id)


def _check(chunk: Chunk, job: Job, results: list[ItemResult]) -> None:
    if len(results) != len(chunk.items):
        raise ConnectionFailed(f"job {job.id} gave {len(results)} results for {len(chunk.items)} responses")
    for result in results:
        ids, rewards = result.token_ids, result.rewards
        if result.error is None and (not ids or not rewards or len(ids) != len(rewards)):
            raise ConnectionFailed(f"job {job.id}, item {result.index}: not one reward per token")


def _counted(chunk: Chunk, results: list[ItemResult]) -> Done:
    reasons = Counter(f"{r.error.code}: {r.error.message}"[:200] for r in results if r.error)
    tokens = sum(len(r.token_ids or ()) for r in results)
    return Done(chunk.digest, chunk.rows, len(results), tokens, reasons.total(), dict(reasons.most_common(5)))
