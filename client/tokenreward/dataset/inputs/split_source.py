"""Rows with a list of responses as rows of one response each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

from tokenreward.dataset.base import Row, Source, Unreadable
from tokenreward.dataset.payloads import picked
from tokenreward.dataset.shapes.lists import split
from tokenreward.dataset.shapes.names import SCORES


class SplitSource:
    """A source of which each row becomes as many as its list has responses."""

    def __init__(self, source: Source, column: str) -> None:
        """Split a source's rows.

        Args:
            source: The input.
            column: The column with the lists.
        """
        self.suffix = source.suffix
        self._source, self._column = source, column
        self._first = 0
        self._origins: list[tuple[int, int | None]] = []  # row of the source and place in its list, of the last batch

    def where(self, row: int) -> str:
        """See `Source.where`."""
        number, place = self._origins[row - self._first]
        return self._source.where(number) + ("" if place is None else f", response {place}")

    def preview(self, rows: int, also: Sequence[str] = ()) -> list[Row]:
        """See `Source.preview`."""
        found, self._origins = self._parts(self._source.preview(rows, also), 0)
        self._first = 0
        return found

    def batches(self, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[int, Sequence[Row], Any]]:
        """See `Source.batches`."""
        first = 0
        for start, batch, payload in self._source.batches(rows, columns):
            parts, origins = self._parts(batch, start)
            split_columns = {self._column, *SCORES} & set(columns)
            whole = self._payload(parts, payload, [number - start for number, _ in origins], split_columns)
            for begin in range(0, len(parts), rows):
                some = slice(begin, begin + rows)
                self._first = first
                self._origins = origins[some]
                yield first, parts[some], whole[some]
                first += len(parts[some])

    def _parts(self, rows: Sequence[Row], start: int) -> tuple[list[Row], list[tuple[int, int | None]]]:
        parts: list[Row] = []
        origins: list[tuple[int, int | None]] = []
        for number, row in enumerate(rows, start):
            own: list[Row] = [row] if isinstance(row, Unreadable) else [*split(row, self._column)]
            origins += [(number, place if len(own) > 1 else None) for place in range(len(own))]
            parts += own
        return parts, origins

    def _payload(self, parts: Sequence[Row], payload: Any, origins: Sequence[int], columns: Set[str]) -> Any:
        if isinstance(payload, list):
            return [{} if isinstance(part, Unreadable) else part for part in parts]
        import pyarrow as pa

        table = picked(payload, origins)
        for place, field in enumerate(table.schema):
            if field.name in columns:
                values = [None if isinstance(part, Unreadable) else part.get(field.name) for part in parts]
                table = table.set_column(place, field, pa.array(values, type=field.type))
        return table
