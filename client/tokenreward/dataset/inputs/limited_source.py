"""`--limit N`: the first rows of an input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tokenreward.dataset.base import Row, Source


class LimitedSource:
    """The first `limit` rows of another source."""

    def __init__(self, source: Source, limit: int) -> None:
        self.suffix = source.suffix
        self._source, self._limit = source, limit

    def where(self, row: int) -> str:
        """See `Source.where`."""
        return self._source.where(row)

    def preview(self, rows: int, also: Sequence[str] = ()) -> list[Row]:
        """See `Source.preview`."""
        return self._source.preview(min(rows, self._limit), also)

    def batches(self, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[int, Sequence[Row], Any]]:
        """See `Source.batches`."""
        for first, batch, payload in self._source.batches(min(rows, self._limit), columns):
            left = self._limit - first
            if left <= 0:
                return
            yield first, batch[:left], payload[:left]
            if len(batch) >= left:
                return
