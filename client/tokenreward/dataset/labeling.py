"""Labeling a whole file or dataset with one call.

Rows are read twice: once to check every one of them before any is paid for, and once to send them. The service works on
the next jobs while the oldest is read, so results are written in order and memory holds a few chunks only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenreward.dataset.bad_rows import rejected_path
from tokenreward.dataset.chunks import chunks
from tokenreward.dataset.label_run import LabelOptions, LabelRun
from tokenreward.dataset.labeled_file import Labeled, assemble, existing_labeled, labeling_plan
from tokenreward.dataset.outages import Outages
from tokenreward.dataset.progress import progress_for
from tokenreward.dataset.reading import InputOptions, read_whole
from tokenreward.dataset.resume import RunState
from tokenreward.dataset.scoring_options import ScoringOptions
from tokenreward.http import Client
from tokenreward.schema import TOP_K, Include, Pool, PoolBy, Score, Template
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
    top_k: int = TOP_K,
    models: Mapping[str, str] | None = None,
    tokens: bool = False,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    skip_invalid: bool = False,
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
        data: A file or a folder of any format in docs/data.md, a data set's name on the hub, a `datasets` dataset, a
            pandas or polars DataFrame, an Arrow table, or a list of rows.
        out: A .jsonl (also .jsonl.gz and .jsonl.zst), .parquet or .arrow file. For data in memory it may be left out,
            which makes a temporary .arrow file.
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
        include: Also keep `difference`, `segments`, `logprobs`, `moments`, `top` or `named`, each in a column of its
            own; for `named` the rows have a column `named_ids`.
        top_k: How many of the most likely ids at each token `top` keeps, at most 128.
        models: What scores a branch, by its name or by the name that the template has for its model: an adapter
            (`name` or `name@version`), or another served model. All rows get one version: that of the first job.
        tokens: Also keep each token's text and its place in the response.
        split: Which split of a dataset with several.
        columns: Columns under the names that rows are read by, as in `{"prompt": "question"}`; the labeled file has
            these names. See docs/data.md.
        limit: At most so many rows are labeled, the first ones.
        skip_invalid: Leave out rows that cannot be labeled, and write them to `OUT.rejected.jsonl` with their reasons.
        client: The client to use, instead of one with `url` and `api_key`.
        url: The service's base address.
        api_key: An API key.
        progress: True always shows progress, False never, and None only in a terminal.
        rows_per_job: The most rows in a job.
        jobs_in_flight: How many jobs the service has at a time.
        keep_jobs: Leave the jobs on the service. By default their items and results are removed once the rows are on
            disk, and one record of the run stays for as long as the service keeps finished jobs.

    Returns:
        The labeled file with its counts and provenance.

    Raises:
        BadInput: A row cannot be labeled (without `skip_invalid`), or `out` cannot hold it, in which case nothing was
            labeled; or `out` holds something else.
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
        top_k=top_k,
        contexts=contexts,
        score=score,
        models=models,
    )
    options = InputOptions(split, dict(columns or {}), limit, skip_invalid, rows_per_job)
    run = LabelOptions(scoring, model, jobs_in_flight, keep_jobs, input_name(data))
    return label_input(data, out, options, run, client=client, url=url, api_key=api_key, progress=progress)


def label_input(
    data: Any,
    out: str | Path | None,
    options: InputOptions,
    run: LabelOptions,
    *,
    client: Client | None = None,
    url: str | None = None,
    api_key: str | None = None,
    progress: bool | None = None,
) -> Labeled:
    """Do what `label_dataset` does, with options that are checked already.

    Args:
        data: See `label_dataset`.
        out: See `label_dataset`.
        options: What of the input is read, and how.
        run: How it is scored, and in how many jobs at a time.
        client: See `label_dataset`.
        url: See `label_dataset`.
        api_key: See `label_dataset`.
        progress: See `label_dataset`.
    """
    with ExitStack() as stack:
        found = stack.enter_context(read_whole(data, out, run.scoring, options))
        understood = found.understood
        for warning in understood.warnings():
            warnings.warn(warning, stacklevel=3)
        plan = labeling_plan(understood.extent, run.model, run.scoring, options.rows_per_job, options.columns)
        if (existing := existing_labeled(found.target, plan)) is not None:
            return replace(existing, rejected=understood.rejected)
        shown = stack.enter_context(progress_for(progress))
        for line in understood.lines():
            shown.note(line)
        here = client or stack.enter_context(_patient_client(url, api_key, shown.note))
        state = stack.enter_context(RunState(found.target, plan, found.source.suffix))
        work = chunks(found.source, found.reading, options.rows_per_job)
        LabelRun(here, state, found.sink, understood.layout, run, shown).run(work, understood.extent)
        found.bad.save(rejected_path(found.target))  # before the output, which says that all is done
        labeled = assemble(found.target, found.sink, state, plan, understood.layout)
        return replace(labeled, rejected=understood.rejected)


def input_name(data: Any) -> str | None:
    """Return what lists of jobs call the input: the name of its file."""
    return Path(data).name[:200] or None if isinstance(data, str | Path) else None


def _patient_client(url: str | None, api_key: str | None, told: Callable[[str], None]) -> Client:
    """Return a client that waits through a restart of the service, once the service has answered at all."""
    settings = client_settings(url=url, api_key=api_key)
    with Client(settings=settings.model_copy(update={"patience": 0.0})) as probe:
        probe.health()
    patient = settings.model_copy(update={"patience": max(settings.patience, PATIENCE)})
    return Client(settings=patient, on_trouble=Outages(told, patient.patience))
