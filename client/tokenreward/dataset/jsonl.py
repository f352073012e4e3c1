"""JSON Lines in and out. Every column of a row stays; labels are added after them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.meta import meta_path
from tokenreward.dataset.row_layout import Layout, layout_of
from tokenreward.errors import BadInput

#: The most levels of lists and objects in a row. Python reads and writes a few hundred, Arrow's files hold 64.
_MOST_LEVELS = 100


class JsonlSource:
    """A file of JSON objects, one on each line. Blank lines are skipped, and rows are named by their line."""

    suffix = ".jsonl"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[int] = []  # the line of each row of the batch being read
        self._first = 0

    def layout(self) -> Layout:
        """See `Source.layout`."""
        for _, rows, _ in self.batches(1):
            return layout_of(rows[0], self.where(0))
        raise BadInput(f"{self._path}: there are no rows")

    def where(self, row: int) -> str:
        """See `Source.where`. Only rows of the batch that was read last can be named."""
        return f"{self._path}, line {self._lines[row - self._first]}"

    def batches(
        self, rows: int, also: Sequence[str] = ()
    ) -> Iterator[tuple[int, list[dict[str, Any]], list[dict[str, Any]]]]:
        """See `Source.batches`. The payload is the rows themselves, which hold every column."""
        first = 0
        numbered = json_rows(self._path)
        while batch := list(islice(numbered, rows)):
            self._first, self._lines = first, [line for line, _ in batch]
            content = [row for _, row in batch]
            yield first, content, content
            first += len(batch)


class JsonlSink:
    """Labeled rows as JSON Lines, with the metadata in `OUT.meta.json`."""

    def check(self, payload: list[dict[str, Any]], out: Path) -> None:
        """See `Sink.check`. What was read as JSON can be written as JSON."""

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
        with replace(out) as file:  # last: where OUT is, it is complete and its meta is there
            for part in parts:
                with part.open("rb") as labeled:
                    shutil.copyfileobj(labeled, file, 1 << 20)


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a file with the number of each one's line, from 1.

    Raises:
        BadInput: A line is no JSON object, names a key twice, or is nested too deeply.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = _DECODER.decode(line.decode(json.detect_encoding(line), "surrogatepass"))
            except _KeyTwice as error:
                raise BadInput(f"{path}, line {number}: {error}") from None
            except ValueError as error:
                raise BadInput(f"{path}, line {number}: not JSON ({error})") from None
            except RecursionError:
                raise _too_deep(path, number) from None
            if not isinstance(row, dict):
                raise BadInput(f"{path}, line {number}: not a JSON object")
            # Counting brackets is quick, and tells of nearly every row that it cannot be too deep.
            if line.count(b"[") + line.count(b"{") > _MOST_LEVELS and _levels(row) > _MOST_LEVELS:
                raise _too_deep(path, number)
            yield number, row


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


class _KeyTwice(ValueError):
    """An object names one key twice, so that nobody can say which value is meant."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _KeyTwice(f"the key {twice!a} stands there twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _levels(value: Any) -> int:
    """Return how deeply lists and objects are nested."""
    levels, here = 0, [value]
    while here:
        levels += 1
        inner = [part for outer in here for part in (outer.values() if isinstance(outer, dict) else outer)]
        here = [part for part in inner if isinstance(part, dict | list)]
    return levels


def _too_deep(path: Path, line: int) -> BadInput:
    return BadInput(f"{path}, line {line}: lists and objects are nested more than {_MOST_LEVELS} levels deep")
