"""Cutting an input into chunks of rows, each of which becomes one job."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Any

from tokenreward.dataset.bad_rows import BadRows
from tokenreward.dataset.base import Row, Source, Unreadable
from tokenreward.dataset.columns import IDS
from tokenreward.dataset.payloads import picked, row_at
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
        rows: How many rows it has.
        items: One line of JSON for every response, row by row and side by side.
        payload: The source's payload of its rows.
    """

    number: int
    rows: int
    items: tuple[bytes, ...]
    payload: Any

    @property
    def digest(self) -> str:
        """The SHA-256 of all items."""
        return hashlib.sha256(b"\n".join(self.items)).hexdigest()


def chunks(source: Source, reading: RowItems, rows: int, bad: BadRows | None = None) -> Iterator[Chunk]:
    """Cut the source into chunks of at most `rows` rows, the same every time, and of CHUNK_BYTES.

    Where a result has candidates, a chunk has less text: its results are held as a whole, and they are most of them.

    Rows that cannot be labeled are in none of them.

    Args:
        source: The input.
        reading: How its rows become items.
        rows: The most rows of a chunk.
        bad: What is told of rows that cannot be labeled.

    Raises:
        BadInput: The input cannot be read on, or its first row lacks a column that is asked for.
    """
    number = 0
    checked = False
    most = CHUNK_BYTES // (1 + reading.candidates // 4)
    taken = {name for name in reading.layout.added(texts=True) if not name.endswith(IDS)}
    for first, batch, payload in source.batches(rows, reading.columns):
        places: list[int] = []
        size = 0
        items: list[bytes] = []
        for offset, row in enumerate(batch):
            where = source.where(first + offset)
            if not checked and not isinstance(row, Unreadable):
                reading.check(row, where)
                checked = True
            try:
                lines = _lines(row, reading, taken, where)
            except BadInput as error:
                if bad is not None:
                    bad.add(where, error, row.content if isinstance(row, Unreadable) else row_at(payload, offset))
                continue
            added = sum(map(len, lines))
            if items and size + added > most:
                yield Chunk(number, len(places), tuple(items), picked(payload, places))
                number, places, size, items = number + 1, [], 0, []
            places.append(offset)
            items += lines
            size += added
        if items:
            yield Chunk(number, len(places), tuple(items), picked(payload, places))
            number += 1


def _lines(row: Row, reading: RowItems, taken: Set[str], where: str) -> list[bytes]:
    """Return the items of a row as lines of JSON. Raises BadInput."""
    if isinstance(row, Unreadable):
        raise row
    if not taken.isdisjoint(row):
        name = next(name for name in row if name in taken)
        raise BadInput(f"{where}: the column {name!r} is what labels are written to")
    return [item_json(item) for item in reading.of(row, where)]


def survey(all_chunks: Iterable[Chunk]) -> Survey:
    """Read everything once, so that every row is checked before the first one is paid for."""
    digest, items, content = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    rows = responses = size = jobs = 0
    listed = False
    for chunk in all_chunks:
        digest.update(chunk.digest.encode())
        items.update(b"".join(line + b"\n" for line in chunk.items))
        if listed := isinstance(chunk.payload, list):
            content.update("".join(f"{row!r}\n" for row in chunk.payload).encode("utf-8", "surrogatepass"))
        rows += chunk.rows
        responses += len(chunk.items)
        size += sum(map(len, chunk.items))
        jobs += 1
    return Survey(
        rows, responses, size, jobs, digest.hexdigest(), items.hexdigest(), content.hexdigest() if listed else None
    )


@dataclass(frozen=True)
class Survey:
    """The size of an input.

    Attributes:
        rows: How many rows can be labeled.
        responses: How many responses they hold.
        bytes: The size of all items as sent.
        jobs: How many jobs they become.
        digest: The SHA-256 over all chunks.
        items: The SHA-256 of all items, however they are cut into chunks.
        content: The SHA-256 of every column of all rows; None for Arrow tables.
    """

    rows: int
    responses: int
    bytes: int
    jobs: int
    digest: str
    items: str
    content: str | None
