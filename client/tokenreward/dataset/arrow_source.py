"""Reading rows from parquet, Arrow IPC, dataset directories and `datasets` datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tokenreward.dataset.arrow_streams import UniformTables
from tokenreward.dataset.arrow_tables import Tables, ipc_tables, parquet_tables, pylist, readable
from tokenreward.dataset.columns import FINISHED, IDS, KWARGS, MEDIA, TOOLS
from tokenreward.dataset.row_layout import Layout, layout_of
from tokenreward.errors import BadInput

#: The columns a layout may read; no other is ever turned into Python objects.
_READ = (
    *("prompt", "chosen", "rejected", "response", "completion", "messages"),
    *(TOOLS, KWARGS, *MEDIA),
    *(start + name for name in (IDS, FINISHED) for start in ("", "chosen_", "rejected_")),
)


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
        self._uniform: Tables = UniformTables(tables, self.where) if changing else tables

    def where(self, row: int) -> str:
        """See `Source.where`."""
        return f"{self._name}, row {row}"

    def layout(self) -> Layout:
        """See `Source.layout`."""
        with readable(self._name):
            for table in self._tables(1):
                twice = [name for name, count in Counter(table.column_names).items() if count > 1]
                if twice:
                    raise BadInput(f"{self._name}: there are two columns {twice[0]!a}; rename one")
                if table.num_rows:
                    shown = table.slice(0, 1).select([name for name in _READ if name in table.column_names])
                    first = dict.fromkeys(table.column_names) | pylist(shown)[0]
                    return layout_of(first, self.where(0))
        raise BadInput(f"{self._name}: there are no rows")

    def batches(self, rows: int, also: Sequence[str] = ()) -> Iterator[tuple[int, list[Mapping[str, Any]], pa.Table]]:
        """See `Source.batches`. The payload is an Arrow table."""
        first = 0
        wanted = dict.fromkeys((*_READ, *also))
        with readable(self._name):
            for table in self._uniform(rows):
                shown = table.select([name for name in wanted if name in table.column_names])
                found: list[Mapping[str, Any]] = [*pylist(shown)]
                yield first, found, table
                first += table.num_rows


def open_source(path: Path, split: str | None) -> ArrowSource:
    """Open a parquet or arrow file, or a directory written by `save_to_disk`.

    Raises:
        BadInput: It cannot be read, or the split does not fit.
    """
    if path.is_dir():
        return dataset_source(_from_disk(path, split), str(path))
    if split is not None:
        raise BadInput(f"{path}: a split is only for a dataset directory")
    tables = parquet_tables if path.suffix == ".parquet" else ipc_tables
    return ArrowSource(str(path), lambda rows: tables(path, rows))


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


def _from_disk(path: Path, split: str | None) -> Any:
    try:
        import datasets
    except ModuleNotFoundError:
        raise BadInput("a dataset directory needs datasets; pip install 'tokenreward[files]'") from None
    try:
        found = datasets.load_from_disk(str(path))
    except (FileNotFoundError, ValueError) as error:
        raise BadInput(f"{path}: not a directory that `save_to_disk` wrote ({error})") from None
    if isinstance(found, datasets.DatasetDict):
        if split not in found:
            raise BadInput(f"{path} has the splits {', '.join(found)}; choose one with --split")
        return found[split]
    if split is not None:
        raise BadInput(f"{path} has no splits, so no {split!r}")
    return found
