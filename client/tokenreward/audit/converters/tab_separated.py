"""Rows of a file with tabs between its columns, as MQM's are: no quotes, and a header."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenreward.errors import BadInput


def tab_separated_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a file with the name by which a person finds each.

    Raises:
        BadInput: A line has more or fewer columns than the header.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(rows, [])
        for number, row in enumerate(rows, 2):
            if len(row) != len(header):
                raise BadInput(f"{path}, line {number}: {len(row)} columns, and the header has {len(header)}")
            yield f"{path}, line {number}", dict(zip(header, row, strict=True))
