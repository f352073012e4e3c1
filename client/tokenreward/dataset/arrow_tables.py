"""Parquet and Arrow IPC files as Arrow tables of few rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tokenreward.errors import BadInput

Tables = Callable[[int], Iterator[pa.Table]]


def schema_of(path: Path) -> pa.Schema:
    """Return the schema of a parquet or arrow file. Raises BadInput."""
    with readable(str(path)):
        if path.suffix == ".parquet":
            return pq.read_schema(path)
        with pa.memory_map(str(path)) as file:
            return ipc_reader(file).schema


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every row of a parquet or arrow file. Raises BadInput."""
    tables = parquet_tables if path.suffix == ".parquet" else ipc_tables
    with readable(str(path)):
        for table in tables(path, 64):
            yield from pylist(table)


def pylist(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table. Maps become dictionaries, as messages may be kept.

    Raises:
        BadInput: A map has a key twice.
    """
    try:
        rows: list[dict[str, Any]] = table.to_pylist(maps_as_pydicts="strict")
    except KeyError as error:
        raise BadInput(f"a map has a key twice ({error.args[0]})") from None
    return rows


def parquet_tables(path: Path, rows: int) -> Iterator[pa.Table]:
    """Yield a parquet file as tables of at most `rows` rows."""
    # pre_buffer would hold a whole row group in memory, however large it is.
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield pa.Table.from_batches([batch])


def ipc_tables(path: Path, rows: int) -> Iterator[pa.Table]:
    """Yield an Arrow file or stream as tables of at most `rows` rows."""
    with pa.memory_map(str(path)) as file:
        reader = ipc_reader(file)
        stream = isinstance(reader, pa.RecordBatchStreamReader)
        batches = reader if stream else map(reader.get_batch, range(reader.num_record_batches))
        for batch in batches:
            for start in range(0, batch.num_rows, rows):
                yield pa.Table.from_batches([batch.slice(start, rows)])


def ipc_reader(file: Any) -> Any:
    """Return the reader of an open Arrow file, whether it is a file or a stream of Arrow's."""
    magic = file.read(6)
    file.seek(0)
    return pa.ipc.open_file(file) if magic == b"ARROW1" else pa.ipc.open_stream(file)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn errors of reading, within the block, into BadInput with the name of the input."""
    try:
        yield
    # `datasets` makes tables of what a generator yields, which may be more than Arrow holds.
    except (pa.ArrowException, OSError, OverflowError, UnicodeEncodeError) as error:
        raise BadInput(f"{name}: cannot be read ({error})") from None
