"""Labeling a whole file or dataset with one call.

Rows are read twice: once to check every one of them before any is paid for, and once to send them. The service works on
the next jobs while the oldest is read, so results are written in order and memory holds a few chunks only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenreward.dataset.base import Source
from tokenreward.dataset.chunks import chunks, survey
from tokenreward.dataset.formats import sink_of, source_of
from tokenreward.dataset.label_run import LabelOptions, LabelRun
from tokenreward.dataset.labeled_file import Labeled, assemble, existing_labeled, labeling_plan
from tokenreward.dataset.progress import progress_for
from tokenreward.dataset.resume import RunState
from tokenreward.dataset.row_items import RowItems
from tokenreward.dataset.scoring_options import ScoringOptions
from tokenreward.errors import BadInput
from tokenreward.http import Client
from tokenreward.schema import Include, Pool, PoolBy, Score, Template
from tokenreward.settings import client_settings

#: How long a run that may take hours lets the service be away, at least, seconds.
PATIENCE = 300.0


def label_dataset(
    data: Any,
    out: str | Path | None = None,
    *,
    model: str | None = None,
    template: str | Template | None = None,
    estimator: str = "contrast",
    parameters: Mapping[str, float] | None = None,
    contexts: Mapping[str, str] | None = None,
    pool: Pool | None = None,
    pool_by: PoolBy = "mean",
    score: Score = "last",
    include: Iterable[Include] = (),
    models: Mapping[str, str] | None = None,
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
    """Label every response of `data` and write the labeled rows to `out`.

    If it is interrupted, at any moment, the same call goes on where it stopped.

    Args:
        data: A .jsonl, .parquet or .arrow file, a directory from `save_to_disk`, or a `datasets` dataset.
        out: A .parquet or .arrow file, or from JSONL a .jsonl file. For a dataset it may be left out, which makes a
            temporary .arrow file.
        model: A served model's name, or `name@fingerprint`. None means the only model that is served.
        template: A shipped template's name, or a template of your own. None means the estimator's own.
        estimator: A shipped estimator's name.
        parameters: Parameters of the estimator that take another value than their default.
        contexts: Where the template's context fields come from: the name of a column, or `@best`, `@worst`, `@chosen`,
            `@rejected`, `@outcome` (see docs/labels.md). A field that is not named comes from where its template says.
        pool: Give every token of a word, sentence, line, step or span of the row's own the segment's reward.
        pool_by: A segment's reward is the `mean`, the `min` or the `sum` of its tokens' rewards.
        score: `last` scores the last message of a conversation. `all` scores every assistant's turn after the `prompt`
            (without one: from the first; in a pair from where the sides differ) and keeps the turn of each token.
        include: Also keep `difference`, `segments` or `logprobs`, each in a column of its own.
        models: What scores a branch, by its name or by the name that the template has for its model: an adapter
            (`name` or `name@version`), or another served model. All rows get one version: that of the first job.
        tokens: Also keep each token's text and its place in the response.
        split: Which split of a dataset with several.
        client: The client to use, instead of one with `url` and `api_key`.
        url: The service's base address.
        api_key: An API key.
        progress: True always shows progress, False never, and None only in a terminal.
        rows_per_job: The most rows in a job.
        jobs_in_flight: How many jobs the service has at a time.
        keep_jobs: Leave the jobs on the service. By default each is removed once its rows are on disk.

    Returns:
        The labeled file with its counts and provenance.

    Raises:
        BadInput: A row cannot be read, or `out` cannot hold it, in which case nothing was labeled; or `out` holds
            something else.
        ConnectionFailed: The service cannot be reached.
        JobFailed: A job was cancelled.
    """
    kept: list[Include] = [*include, "tokens"] if tokens else [*include]
    scoring = ScoringOptions.of(
        template,
        estimator,
        parameters=parameters,
        pool=pool,
        pool_by=pool_by,
        include=kept,
        contexts=contexts,
        score=score,
        models=models,
    )
    source, target = _opened(data, out, split)
    sink = sink_of(target, source)
    layout = replace(source.layout(), score=scoring.score)
    reading = RowItems(layout, scoring.contexts, spans=pool == "spans")
    extent = survey(chunks(source, reading, rows_per_job))
    plan = labeling_plan(extent, model, scoring, rows_per_job)
    if (existing := existing_labeled(target, plan)) is not None:
        return existing
    sink.check(next(chunks(source, reading, rows_per_job)).payload, target)
    with ExitStack() as stack:
        here = client or stack.enter_context(_patient_client(url, api_key))
        state = stack.enter_context(RunState(target, plan, source.suffix))
        shown = stack.enter_context(progress_for(progress))
        options = LabelOptions(scoring, model, jobs_in_flight, keep_jobs)
        LabelRun(here, state, sink, layout, options, shown).run(chunks(source, reading, rows_per_job), extent)
        return assemble(target, sink, state, plan, layout)


def _opened(data: Any, out: str | Path | None, split: str | None) -> tuple[Source, Path]:
    if not isinstance(data, str | Path):
        from tokenreward.dataset.arrow_source import dataset_source

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


def _patient_client(url: str | None, api_key: str | None) -> Client:
    """Return a client that waits through a restart of the service, once the service has answered at all."""
    settings = client_settings(url=url, api_key=api_key)
    with Client(settings=settings.model_copy(update={"patience": 0.0})) as probe:
        probe.health()
    return Client(settings=settings.model_copy(update={"patience": max(settings.patience, PATIENCE)}))
