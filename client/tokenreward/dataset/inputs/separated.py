"""CSV and TSV files as rows of text. A cell that holds messages as JSON text is read as messages."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenreward.dataset.base import Unreadable
from tokenreward.dataset.inputs.compression import readable_bytes
from tokenreward.dataset.inputs.file_kinds import opened
from tokenreward.dataset.jsonl import Numbered
from tokenreward.errors import BadInput

#: The longest cell, in characters.
_LONGEST = 1 << 27
_MESSAGES = re.compile(r"""\s*\[?\s*\{\s*["'](?:role|content|from|value)["']\s*:""")


def separated_rows(path: Path, separator: str, name: str) -> Numbered:
    """Yield the rows of a CSV or TSV file, with the lines on which they end.

    Args:
        path: The file. Its first line names the columns.
        separator: What stands between cells.
        name: What messages call the file.

    Raises:
        BadInput: The file cannot be read, or names a column twice or not at all.
    """
    csv.field_size_limit(_LONGEST)
    with readable_bytes(name), opened(path) as file:
        # A spreadsheet puts a byte order mark first. newline="": line ends within quotes are the reader's.
        reader = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), delimiter=separator, strict=True)
        try:
            columns = next(reader, [])
            _check(columns, name)
            for cells in reader:
                if cells:
                    place = f"line {reader.line_num}"
                    yield place, _row(columns, cells, f"{name}, {place}")
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadInput(f"{name}, line {reader.line_num + 1}: cannot be read ({error})") from None


def _check(columns: Sequence[str], name: str) -> None:
    odd = next((column for column in columns if columns.count(column) > 1 or not column.strip()), None)
    if odd is not None:
        what = f"names the column {odd!r} twice" if odd.strip() else "leaves a column without a name"
        raise BadInput(f"{name}, line 1: {what}; the first line of a CSV or TSV file has the columns' names")


def _row(columns: Sequence[str], cells: Sequence[str], where: str) -> dict[str, Any] | Unreadable:
    if len(cells) != len(columns):
        return Unreadable(f"{where}: {len(cells)} cells where the first line names {len(columns)} columns", [*cells])
    row: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=True):
        try:
            row[column] = json.loads(cell) if _MESSAGES.match(cell) else cell
        except ValueError:
            return Unreadable(
                f"{where}, column {column!r}: messages that are not JSON (as pandas writes them); write the file as "
                "JSON Lines or parquet",
                dict(zip(columns, cells, strict=True)),
            )
    return row
