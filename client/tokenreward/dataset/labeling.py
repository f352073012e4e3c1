"""Labels a whole file or dataset: chunks become jobs, several in flight, and their results one complete file.

Rows are read twice: once to check every one of them before any is paid for, once to send them. The service works
on the next jobs while the oldest is read, so results are written in order and memory holds a few chunks only.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.chunks import Chunk, Sink, Source, Survey, chunks, label_columns, survey
from tokenreward.dataset.formats import sink_of, source_of
from tokenreward.dataset.labeled_file import Labeled, assembled, finished, plan_of
from tokenreward.dataset.progress import Progress, progress_for
from tokenreward.dataset.resume import Done, RunState
from tokenreward.dataset.row_layout import Layout
from tokenreward.errors import BadInput, ConnectionFailed, JobFailed, TokenRewardError
from tokenreward.http import Client
from tokenreward.schema import Include, ItemResult, Job, JobState, Template
from tokenreward.settings import client_settings

#: How long a run that may take hours lets the service be away, at least, seconds.
PATIENCE = 300.0
#: Finished jobs of one chunk that did not succeed, after which labeling gives up.
_ATTEMPTS = 5


def label_dataset(
    data: Any,
    out: str | Path | None = None,
    *,
    model: str | None = None,
    template: str | Template = "revision",
    estimator: str = "contrast",
    tokens: bool = False,
    split: str | None = None,
    client: Client | None = None,
    url: str | None = None,
    api_key: str | None = None,
    progress: bool | None = None,
    rows_per_job: int = 256,
    jobs_in_flight: int = 4,
    keep_jobs: bool = False,
) -> Labeled:
    """Labels every response of `data` and writes the labeled rows to `out`.

    data: a .jsonl, .parquet or .arrow file, a directory from `save_to_disk`, or a `datasets` dataset.
    out: .parquet or .arrow, or .jsonl from JSONL; for a dataset it may be left out (a temporary .arrow).
    tokens: also keep each token's text and its place in the response.
    progress: True always shows it, False never, None only in a terminal.
    keep_jobs: leave the jobs on the service; by default each is removed once its rows are on disk.

    Interrupted at any moment, the same call goes on where it stopped. Raises BadInput for a row that cannot be read,
    before anything is labeled, and for an `out` that holds something else.
    """
    source, target = _opened(data, out, split)
    sink = sink_of(target, source)
    layout = source.layout()
    extent = survey(chunks(source, layout, rows_per_job))
    plan = plan_of(extent, model, template, estimator, tokens, rows_per_job)
    if (existing := finished(target, plan)) is not None:
        return existing
    with ExitStack() as stack:
        here = client or stack.enter_context(_patient_client(url, api_key))
        state = stack.enter_context(RunState(target, plan, source.suffix))
        shown = stack.enter_context(progress_for(progress))
        include: list[Include] = ["tokens"] if tokens else []
        options = _Options(template, estimator, include, model, jobs_in_flight, keep_jobs)
        _Run(here, state, sink, layout, options, shown).everything(chunks(source, layout, rows_per_job), extent)
        return assembled(target, sink, state, plan, layout)


@dataclass(frozen=True)
class _Options:
    template: str | Template
    estimator: str
    include: list[Include]
    model: str | None
    jobs_in_flight: int
    keep_jobs: bool


class _Run:
    """The loop: submit a chunk, and when enough are in flight, collect the oldest."""

    def __init__(
        self, client: Client, state: RunState, sink: Sink, layout: Layout, options: _Options, shown: Progress
    ) -> None:
        self._client, self._state, self._sink, self._layout = client, state, sink, layout
        self._options, self._shown = options, shown

    def everything(self, work: Iterator[Chunk], extent: Survey) -> None:
        done = self._state.done
        self._shown.begin(extent.responses, sum(d.responses for d in done.values()))
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
        """The chunk's job: the one a former run made, unless that came to nothing."""
        for attempt in range(_ATTEMPTS):
            job = self._client.jobs.create(
                chunk.items,
                model=self._model(chunk.number),
                template=self._options.template,
                estimator=self._options.estimator,
                include=self._options.include,
                idempotency_key=self._state.key(chunk.number, attempt, chunk.digest),
            )
            if job.state is not JobState.cancelled:
                break
        else:
            raise JobFailed(job)
        self._state.learn(job.provenance)
        return job

    def _model(self, number: int) -> str | None:
        """After the first job, every other must go to exactly the same set-up.

        The first one is asked for in the same words by every run: under its idempotency key, other words are refused.
        """
        if number == 0 or (known := self._state.provenance) is None:
            return self._options.model
        return f"{known.fingerprint.model}@{known.fingerprint_digest}"

    def _collect(self, chunk: Chunk, job: Job) -> None:
        results = []
        for result in self._client.jobs.results(job.id):
            self._shown.advance(len(result.token_ids or ()))
            results.append(result)
        ended = self._client.jobs.get(job.id)
        if ended.state is not JobState.succeeded:
            raise JobFailed(ended)
        _check(chunk, job, results)
        part = self._state.part(chunk.number)
        with replace(part) as file:
            columns = label_columns(results, self._layout, bool(self._options.include))
            self._sink.write(Path(file.name), chunk.payload, columns)
        self._state.finish(chunk.number, _counted(chunk, results))
        if not self._options.keep_jobs:
            with contextlib.suppress(TokenRewardError):  # it is only tidiness; the service forgets jobs by itself
                self._client.jobs.delete(job.id)


def _opened(data: Any, out: str | Path | None, split: str | None) -> tuple[Source, Path]:
    if not isinstance(data, str | Path):
        from tokenreward.dataset.arrow import dataset_source

        target = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="tokenreward-")) / "labeled.arrow"
        return dataset_source(data[split] if split is not None else data), target
    if out is None:
        raise BadInput("a file needs a path for its output")
    path, target = Path(data), Path(out)
    if target.exists() and path.resolve() == target.resolve():
        raise BadInput(f"{target}: the output would replace the input")
    if not target.parent.is_dir():
        raise BadInput(f"{target.parent}: no such directory")
    return source_of(path, target, split), target


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


def _patient_client(url: str | None, api_key: str | None) -> Client:
    """A client that waits through a restart of the service, once it has answered at all."""
    settings = client_settings(url=url, api_key=api_key)
    with Client(settings=settings.model_copy(update={"patience": 0.0})) as probe:
        probe.health()
    return Client(settings=settings.model_copy(update={"patience": max(settings.patience, PATIENCE)}))
