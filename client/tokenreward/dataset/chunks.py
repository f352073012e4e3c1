"""What passes through a labeling run: a chunk of rows, which becomes one job, and the labels that come back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tokenreward.dataset.row_layout import Layout, prefix
from tokenreward.http.item_encoding import item_json
from tokenreward.schema import ItemResult

#: The most text, in bytes, that one job carries, beside its number of rows.
CHUNK_BYTES = 4 << 20


class Source(Protocol):
    """An input, read from its beginning every time it is iterated, in batches that are always cut alike.

    A batch is (first row's number, rows as mappings of `Layout.columns`, payload): what `Sink.write` wants back
    of these rows, sliceable.
    """

    suffix: str  # of the files that `write` makes

    def layout(self) -> Layout: ...

    def batches(self, rows: int) -> Iterator[tuple[int, Sequence[Mapping[str, Any]], Any]]: ...

    def where(self, row: int) -> str:
        """How a person finds that row."""
        ...


class Sink(Protocol):
    """An output format: labeled chunks first, one file made of them at the end."""

    def write(self, path: Path, payload: Any, labels: dict[str, list[Any]]) -> None: ...

    def assemble(self, parts: Sequence[Path], out: Path, meta: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Chunk:
    """Rows that become one job.

    items: a JSON line for every response, row by row and side by side.  digest: of these lines.
    """

    number: int
    first_row: int
    rows: int
    items: tuple[bytes, ...]
    payload: Any

    @property
    def digest(self) -> str:
        return hashlib.sha256(b"\n".join(self.items)).hexdigest()


def chunks(source: Source, layout: Layout, rows: int) -> Iterator[Chunk]:
    """The source as chunks of at most `rows` rows and CHUNK_BYTES, the same every time. Raises BadInput."""
    number = 0
    for first, batch, payload in source.batches(rows):
        start, size = 0, 0
        items: list[bytes] = []
        for offset, row in enumerate(batch):
            lines = [item_json(r.item()) for r in layout.responses(row, source.where(first + offset))]
            added = sum(map(len, lines))
            if items and size + added > CHUNK_BYTES:
                yield Chunk(number, first + start, offset - start, tuple(items), payload[start:offset])
                number, start, size, items = number + 1, offset, 0, []
            items += lines
            size += added
        if items:
            yield Chunk(number, first + start, len(batch) - start, tuple(items), payload[start : len(batch)])
            number += 1


def label_columns(results: Sequence[ItemResult], layout: Layout, texts: bool) -> dict[str, list[Any]]:
    """The columns that labeling adds for these rows; a response without rewards has nulls and its error."""
    columns: dict[str, list[Any]] = {}
    width = len(layout.sides)
    for number, side in enumerate(layout.sides):
        start = prefix(side)
        mine = results[number::width]
        columns[start + "token_ids"] = [r.token_ids if r.error is None else None for r in mine]
        columns[start + "token_rewards"] = [r.rewards if r.error is None else None for r in mine]
        columns[start + "token_error"] = [r.error and f"{r.error.code}: {r.error.message}" for r in mine]
        if texts:
            columns[start + "tokens"] = [r.tokens if r.error is None else None for r in mine]
            columns[start + "token_offsets"] = [r.offsets if r.error is None else None for r in mine]
    return columns


def survey(all_chunks: Iterable[Chunk]) -> Survey:
    """Reads everything once: every row is checked before the first one is paid for."""
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
    """An input's extent: rows, responses, bytes as sent, and the digest of all items."""

    rows: int
    responses: int
    bytes: int
    digest: str
