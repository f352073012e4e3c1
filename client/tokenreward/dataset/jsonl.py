"""JSON rows in and out. Every column of a row stays; labels are added after them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.base import Row, Unreadable
from tokenreward.dataset.inputs.compression import compressing, readable_bytes
from tokenreward.dataset.inputs.file_kinds import opened
from tokenreward.dataset.json_values import line_row
from tokenreward.dataset.meta import meta_path
from tokenreward.errors import BadInput

#: The rows of an input, or why one cannot be read, each with its place as a person says it (`line 12`).
Numbered = Iterator[tuple[str, dict[str, Any] | Unreadable]]


class RowsSource:
    """Rows that come one by one from a file of text, named by their places in it."""

    suffix = ".jsonl"

    def __init__(self, name: str, rows: Callable[[], Numbered]) -> None:
        """Make a source.

        Args:
            name: What messages call the input.
            rows: A function that yields the rows, the same every time.
        """
        self._name = name
        self._rows = rows
        self._places: list[str] = []  # of the batch being read
        self._first = 0

    def where(self, row: int) -> str:
        """See `Source.where`."""
        number = row - self._first
        return f"{self._name}, {self._places[number] if number < len(self._places) else f'row {row}'}"

    def preview(self, rows: int, also: Sequence[str] = ()) -> list[Row]:
        """See `Source.preview`."""
        for _, found, _ in self.batches(rows):
            return found
        raise BadInput(f"{self._name}: there are no rows")

    def batches(self, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[int, list[Row], list[dict[str, Any]]]]:
        """See `Source.batches`. The payload is the rows themselves, which hold every column."""
        first = 0
        numbered = self._rows()
        while batch := list(islice(numbered, rows)):
            self._first, self._places = first, [place for place, _ in batch]
            yield first, [row for _, row in batch], [{} if isinstance(row, Unreadable) else row for _, row in batch]
            first += len(batch)


class JsonlSource(RowsSource):
    """A file of JSON objects, one on each line. Blank lines are skipped, and rows are named by their line."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        super().__init__(name or str(path), lambda: numbered_lines(path, name or str(path)))


class JsonlSink:
    """Labeled rows as JSON Lines, with the metadata in `OUT.meta.json`."""

    def check(self, payload: list[dict[str, Any]], out: Path) -> None:
        """See `Sink.check`. What was read as JSON can be written as JSON; an Arrow file may hold more."""
        for name in dict.fromkeys(name for row in payload for name in row):
            try:
                json.dumps([row.get(name) for row in payload])
            except (TypeError, ValueError) as error:
                raise BadInput(f"{out}: JSON cannot hold the column {name!a} ({error}); .parquet holds it") from None

    def write(self, path: Path, payload: list[dict[str, Any]], labels: dict[str, list[Any]]) -> None:
        """See `Sink.write`."""
        with path.open("wb") as file:
            for number, row in enumerate(payload):
                mine = {name: values[number] for name, values in labels.items()}
                # Ids that came with the row stay, even where there are no rewards for them.
                labeled = row | {name: value for name, value in mine.items() if value is not None or name not in row}
                file.write(json_line(labeled))

    def assemble(self, parts: Sequence[Path], out: Path, meta: dict[str, Any]) -> None:
        """See `Sink.assemble`."""
        with replace(meta_path(out)) as file:
            file.write(json.dumps(meta, indent=2, ensure_ascii=False).encode() + b"\n")
        # Last: where OUT is, it is complete and its meta is there.
        with replace(out) as file, compressing(out, file) as whole:
            for part in parts:
                with part.open("rb") as labeled:
                    shutil.copyfileobj(labeled, whole, 1 << 20)


def json_line(row: Mapping[str, Any]) -> bytes:
    """Return a row as it stands in a file, line end included."""
    try:
        return json.dumps(row, ensure_ascii=False, default=_numbers).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate came in escaped, and leaves so
        return json.dumps(row, default=_numbers).encode() + b"\n"


def _numbers(array: Any) -> list[Any]:
    """Return an array, which candidates are kept in, as JSON has it."""
    assert isinstance(array, np.ndarray), type(array)
    numbers: list[Any] = array.tolist()
    return numbers


def numbered_lines(path: Path, name: str) -> Numbered:
    """Yield the rows of a file, or why one cannot be read, with their lines.

    Args:
        path: The file.
        name: What messages call it.
    """
    with readable_bytes(name), opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"line {number}", line_row(line, f"{name}, line {number}")
