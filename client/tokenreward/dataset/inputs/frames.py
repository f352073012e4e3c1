"""Data in memory as a source: `datasets`, pandas and polars frames, Arrow tables, and lists of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from tokenreward.dataset.arrow_source import ArrowSource, dataset_source
from tokenreward.errors import BadInput


def memory_source(data: Any, split: str | None) -> ArrowSource:
    """Return a source over data in memory.

    Args:
        data: A `datasets` dataset, a pandas or polars DataFrame, an Arrow table, or a list of rows.
        split: Which split of a dataset with several.

    Raises:
        BadInput: It is none of these.
    """
    if hasattr(data, "with_format") or isinstance(data, dict):
        return dataset_source(data[split] if split is not None else data)
    if split is not None:
        raise BadInput("a split is only for a dataset with splits")
    table = _table(data)
    return ArrowSource("data", lambda rows: _cut(table, rows))


def _table(data: Any) -> pa.Table:
    try:
        if type(data).__module__.partition(".")[0] == "pandas":
            return pa.Table.from_pandas(data, preserve_index=False).replace_schema_metadata(None)
        if hasattr(data, "__arrow_c_stream__"):
            return _without_views(pa.table(data))
        if isinstance(data, list) and all(isinstance(row, Mapping) for row in data):
            return pa.Table.from_pylist([dict(row) for row in data])
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        raise BadInput(f"the data cannot be read as a table ({' '.join(str(error).split())})") from None
    raise BadInput(
        f"a {type(data).__name__} cannot be labeled; give a path, a dataset, a DataFrame, an Arrow table or a list of "
        "rows"
    )


def _without_views(table: pa.Table) -> pa.Table:
    """Return the table with plain text in place of polars' string views, which parquet readers do not all know."""
    kinds = [pa.large_string() if field.type == pa.string_view() else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True))))


def _cut(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows).combine_chunks()
