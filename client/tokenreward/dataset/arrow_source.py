"""Reading rows from Arrow tables: of parquet and Arrow files, and of `datasets` datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tokenreward.dataset.arrow_streams import UniformTables
from tokenreward.dataset.arrow_tables import Tables, ipc_tables, parquet_tables, pylist, readable
from tokenreward.dataset.base import Row
from tokenreward.dataset.shapes.names import KNOWN
from tokenreward.errors import BadInput


class ArrowSource:
    """A source over Arrow tables."""

    suffix = ".arrow"

    def __init__(self, name: str, tables: Tables, *, changing: bool = False) -> None:
        """Make a source.

        Args:
            name: What messages call the input.
            tables: A function that yields tables of at most so many rows, the same every time.
            changing: Whether the tables may differ in their types.
        """
        self._name = name
        self._tables = tables
        self._changing = changing
        self._uniform: Tables = UniformTables(tables, self.where) if changing else tables

    def where(self, row: int) -> str:
        """See `Source.where`."""
        return f"{self._name}, row {row}"

    def preview(self, rows: int, also: Sequence[str] = ()) -> list[Row]:
        """See `Source.preview`."""
        with readable(self._name):
            # Rows of a stream may differ in their types, and do not make one table then.
            for table in self._tables(1 if self._changing else rows):
                twice = [name for name, count in Counter(table.column_names).items() if count > 1]
                if twice:
                    raise BadInput(f"{self._name}: there are two columns {twice[0]!a}; rename one")
                if table.num_rows:
                    names = dict.fromkeys(table.column_names)
                    shown = table.select([name for name in names if name in KNOWN or name in also])
                    return [names | row for row in pylist(shown)]
        raise BadInput(f"{self._name}: there are no rows")

    def batches(self, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[int, Sequence[Row], pa.Table]]:
        """See `Source.batches`. The payload is an Arrow table."""
        first = 0
        with readable(self._name):
            for table in self._uniform(rows):
                shown = table.select([name for name in dict.fromkeys(columns) if name in table.column_names])
                found: list[Row] = [*pylist(shown)] if shown.num_columns else [{}] * table.num_rows
                yield first, found, table
                first += table.num_rows


def table_file(path: Path, name: str) -> ArrowSource:
    """Return a source over a parquet or arrow file."""
    tables = parquet_tables if path.suffix == ".parquet" else ipc_tables
    return ArrowSource(name, lambda rows: tables(path, rows))


def dataset_source(dataset: Any, name: str = "dataset") -> ArrowSource:
    """Return a source over a `datasets.Dataset` or IterableDataset.

    Raises:
        BadInput: It is a dictionary of splits.
    """
    if hasattr(dataset, "keys"):
        raise BadInput(f"{name} has the splits {', '.join(dataset)}; choose one")
    # A stream has no length, and no table of one schema behind it.
    changing = not hasattr(dataset, "__len__")
    return ArrowSource(name, lambda rows: dataset.with_format("arrow").iter(batch_size=rows), changing=changing)
