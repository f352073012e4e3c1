"""Rows of Arrow tables as JSON rows, for an output of JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tokenreward.dataset.arrow_tables import pylist
from tokenreward.dataset.base import Row, Source


class PlainRows:
    """A source of Arrow tables, with a list of rows in place of each table."""

    suffix = ".jsonl"

    def __init__(self, source: Source) -> None:
        self._source = source

    def where(self, row: int) -> str:
        """See `Source.where`."""
        return self._source.where(row)

    def preview(self, rows: int, also: Sequence[str] = ()) -> list[Row]:
        """See `Source.preview`."""
        return self._source.preview(rows, also)

    def batches(self, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[int, Sequence[Row], Any]]:
        """See `Source.batches`. The payload is the rows with every column."""
        for first, _, table in self._source.batches(rows):
            every: list[Row] = [*pylist(table)]
            yield first, every, every
