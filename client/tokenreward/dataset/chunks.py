"""Cutting an input into chunks of rows, each of which becomes one job."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tokenreward.dataset.base import Source
from tokenreward.dataset.columns import IDS
from tokenreward.dataset.row_items import RowItems
from tokenreward.errors import BadInput
from tokenreward.http.item_encoding import item_json

#: The most text, in bytes, that one job carries, beside its number of rows.
CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class Chunk:
    """Rows that become one job.

    Attributes:
        number: Its place among the chunks, from 0.
        first_row: The number of its first row.
        rows: How many rows it has.
        items: One line of JSON for every response, row by row and side by side.
        payload: The source's payload of its rows.
    """

    number: int
    first_row: int
    rows: int
    items: tuple[bytes, ...]
    payload: Any

    @property
    def digest(self) -> str:
        """The SHA-256 of all items."""
        return hashlib.sha256(b"\n".join(self.items)).hexdigest()


def chunks(source: Source, reading: RowItems, rows: int, most: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Cut the source into chunks of at most `rows` rows and `most` bytes of text, the same every time.

    Args:
        source: The input.
        reading: How its rows become items.
        rows: The most rows of a chunk.
        most: The most text of a chunk of several rows, in bytes.

    Raises:
        BadInput: A row cannot be read, or has a column that labels would replace.
    """
    number = 0
    taken = {name for name in reading.layout.added(texts=True) if not name.endswith(IDS)}
    for first, batch, payload in source.batches(rows, reading.columns):
        if first == 0 and batch:
            reading.check(batch[0], source.where(0))
        start, size = 0, 0
        items: list[bytes] = []
        for offset, row in enumerate(batch):
            if not taken.isdisjoint(row):
                name = next(name for name in row if name in taken)
                raise BadInput(f"{source.where(first + offset)}: the column {name!r} is what labels are written to")
            lines = [item_json(item) for item in reading.of(row, source.where(first + offset))]
            added = sum(map(len, lines))
            if items and size + added > most:
                yield Chunk(number, first + start, offset - start, tuple(items), payload[start:offset])
                number, start, size, items = number + 1, offset, 0, []
            items += lines
            size += added
        if items:
            yield Chunk(number, first + start, len(batch) - start, tuple(items), payload[start : len(batch)])
            number += 1


def survey(all_chunks: Iterable[Chunk]) -> Survey:
    """Read everything once, so that every row is checked before the first one is paid for."""
    digest = hashlib.sha256()
    rows = responses = size = 0
    for chunk in all_chunks:
        digest.update(chunk.digest.encode())
        rows += chunk.rows
        responses += len(chunk.items)
        size += sum(map(len, chunk.items))
    return Survey(rows, responses, size, digest.hexdigest())


@dataclass(frozen=True)
class Survey:
    """The size of an input.

    Attributes:
        rows: How many rows there are.
        responses: How many responses they hold.
        bytes: The size of all items as sent.
        digest: The SHA-256 over all chunks.
    """

    rows: int
    responses: int
    bytes: int
    digest: str
