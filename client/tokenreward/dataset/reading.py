"""Reading an input once as a whole, so that every row is checked and said to be understood before one is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenreward.dataset.bad_rows import BadRows
from tokenreward.dataset.base import Sink, Source, Unreadable
from tokenreward.dataset.chunks import chunks, survey
from tokenreward.dataset.formats import sink_of, typed_for
from tokenreward.dataset.inputs.opening import opened_source, target_of
from tokenreward.dataset.response import Response
from tokenreward.dataset.row_items import RowItems
from tokenreward.dataset.scoring_options import ScoringOptions
from tokenreward.dataset.understood import Understood
from tokenreward.errors import BadInput


@dataclass(frozen=True)
class InputOptions:
    """What of an input is read, and how.

    Attributes:
        split: Which split of data with several.
        columns: Columns under other names, see `renamed_source`.
        limit: At most so many rows are read.
        skip_invalid: Whether rows that cannot be labeled are left out, and written beside the output.
        rows_per_job: The most rows in a job.
        name: What messages call the input. None means its path.
    """

    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    skip_invalid: bool = False
    rows_per_job: int = 256
    name: str | None = None


@dataclass(frozen=True)
class WholeInput:
    """An input that was read once.

    Attributes:
        target: Where its labeled rows go.
        source: Its rows.
        sink: What writes them.
        reading: How they become items.
        understood: What was understood of them.
        bad: The rows that are left out.
    """

    target: Path
    source: Source
    sink: Sink
    reading: RowItems
    understood: Understood
    bad: BadRows


@contextmanager
def read_whole(
    data: Any, out: str | Path | None, scoring: ScoringOptions, options: InputOptions
) -> Iterator[WholeInput]:
    """Read an input from its beginning to its end, and yield it.

    Args:
        data: A path, a data set's name on the hub, or data in memory.
        out: Where the labeled rows will go. For data in memory None means a temporary file.
        scoring: How the responses will be scored.
        options: What is read, and how.

    Raises:
        BadInput: The input cannot be read, has rows that cannot be labeled, or does not suit its output.
    """
    target = target_of(data, out)
    source, layout = opened_source(
        data,
        target,
        split=options.split,
        columns=options.columns,
        limit=options.limit,
        score=scoring.score,
        name=options.name,
    )
    reading = RowItems(
        layout,
        scoring.contexts,
        spans=scoring.pool == "spans",
        named="named" in scoring.include,
        candidates=scoring.candidates,
    )
    source = typed_for(target, source, reading.of)
    sink = sink_of(target, source)
    with BadRows() as bad:
        extent = survey(chunks(source, reading, options.rows_per_job, bad))
        rows = extent.rows + bad.count
        if options.skip_invalid:
            bad.refuse_if_all(rows)
        else:
            bad.refuse(rows)
        understood = Understood(layout, extent, _example(source, reading), bad.count)
        sink.check(next(chunks(source, reading, options.rows_per_job)).payload, target)
        yield WholeInput(target, source, sink, reading, understood, bad)


def _example(source: Source, reading: RowItems) -> list[Response]:
    """Return the responses of the first row that can be read."""
    for first, batch, _ in source.batches(64, reading.columns):
        for number, row in enumerate(batch, first):
            try:
                if not isinstance(row, Unreadable):
                    return reading.layout.responses(row, source.where(number))
            except BadInput:
                continue
    raise AssertionError("a row was read before")
