"""Parquet, Arrow IPC and `datasets` in; parquet and Arrow IPC out. The only module here that imports pyarrow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.chunks import Source
from tokenreward.dataset.meta import META_KEY
from tokenreward.dataset.row_layout import FINISHED, IDS, Layout, layout_of
from tokenreward.errors import BadInput

Tables = Callable[[int], Iterator[pa.Table]]

#: The columns a layout may read; no other is ever turned into Python objects.
_READ = (
    *("prompt", "chosen", "rejected", "response", "completion", "messages"),
    *(start + name for name in (IDS, FINISHED) for start in ("", "chosen_", "rejected_")),
)
_TYPES = {
    "token_ids": pa.list_(pa.int32()),
    "token_rewards": pa.list_(pa.float32()),
    "token_error": pa.string(),
    "tokens": pa.list_(pa.string()),
    "token_offsets": pa.list_(pa.list_(pa.int32())),
}
#: Rows and bytes that make a row group of the output.
_GROUP_ROWS, _GROUP_BYTES = 8192, 32 << 20


class ArrowSource:
    """Anything that yields Arrow tables of at most so many rows, the same every time."""

    suffix = ".arrow"

    def __init__(self, name: str, tables: Tables) -> None:
        self._name = name
        self._tables = tables
        self._columns: list[str] | None = None

    def where(self, row: int) -> str:
        return f"{self._name}, row {row}"

    def layout(self) -> Layout:
        with _readable(self._name):
            for table in self._tables(1):
                if table.num_rows:
                    shown = table.slice(0, 1).select([name for name in _READ if name in table.column_names])
                    first = dict.fromkeys(table.column_names) | shown.to_pylist()[0]
                    return layout_of(first, self.where(0))
        raise BadInput(f"{self._name}: there are no rows")

    def batches(self, rows: int) -> Iterator[tuple[int, list[Mapping[str, Any]], pa.Table]]:
        first = 0
        with _readable(self._name):
            for table in self._tables(rows):
                shown = table.select([name for name in _READ if name in table.column_names])
                yield first, shown.to_pylist(), table
                first += table.num_rows


class ArrowSink:
    """Labeled parts as Arrow IPC, then one parquet or Arrow stream, with the meta in its schema."""

    def write(self, path: Path, payload: pa.Table, labels: dict[str, list[Any]]) -> None:
        for name, values in labels.items():
            kind = next(kind for suffix, kind in _TYPES.items() if name.endswith(suffix))
            if name not in payload.column_names:
                payload = payload.append_column(name, _column(values, kind))
                continue
            # Ids that came with the rows stay, even where there are no rewards for them.
            own = payload[name].to_pylist()
            kept = [mine if value is None else value for value, mine in zip(values, own, strict=True)]
            payload = payload.set_column(payload.column_names.index(name), name, _column(kept, kind))
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, payload.schema) as writer:
            writer.write_table(payload)

    def assemble(self, parts: Sequence[Path], out: Path, meta: dict[str, Any]) -> None:
        with pa.memory_map(str(parts[0])) as file:
            schema = pa.ipc.open_file(file).schema
        # `datasets` describes its columns under this key; with columns added, the description would be wrong.
        kept = {key: value for key, value in (schema.metadata or {}).items() if key not in {b"huggingface", b"pandas"}}
        schema = schema.with_metadata(kept | {META_KEY: json.dumps(meta, ensure_ascii=False).encode()})
        with replace(out) as file, _writer(out, file, schema) as writer:
            for table in _grouped(parts):
                writer.write_table(table.replace_schema_metadata(schema.metadata))


class TypedSource:
    """JSON rows as Arrow tables, all of one schema: the narrowest that every row fits, found by reading them all."""

    suffix = ".arrow"

    def __init__(self, rows: Source) -> None:
        self._rows = rows
        self._schema: pa.Schema | None = None

    def where(self, row: int) -> str:
        return self._rows.where(row)

    def layout(self) -> Layout:
        return self._rows.layout()

    def batches(self, rows: int) -> Iterator[tuple[int, Sequence[Mapping[str, Any]], pa.Table]]:
        if self._schema is None:
            self._schema = self._inferred()
        for first, batch, payload in self._rows.batches(rows):
            yield first, batch, pa.Table.from_pylist(payload, schema=self._schema)

    def _inferred(self) -> pa.Schema:
        schema = pa.schema([])
        for first, _, payload in self._rows.batches(1024):
            try:
                names = dict.fromkeys(name for row in payload for name in row)
                seen = pa.schema([(name, pa.array([row.get(name) for row in payload]).type) for name in names])
                schema = pa.unify_schemas([schema, seen], promote_options="permissive")
            except pa.ArrowException as error:
                raise BadInput(f"{self._rows.where(first)} and the rows after it: no one type fits ({error})") from None
        return schema


def open_source(path: Path, split: str | None) -> ArrowSource:
    """A source for a parquet or arrow file or a directory written by `save_to_disk`. Raises BadInput."""
    if path.is_dir():
        return dataset_source(_from_disk(path, split), str(path))
    if split is not None:
        raise BadInput(f"{path}: a split is only for a dataset directory")
    tables = _parquet_tables if path.suffix == ".parquet" else _ipc_tables
    return ArrowSource(str(path), lambda rows: tables(path, rows))


def dataset_source(dataset: Any, name: str = "dataset") -> ArrowSource:
    """A source over a `datasets.Dataset` or IterableDataset."""
    if hasattr(dataset, "keys"):
        raise BadInput(f"{name} has the splits {', '.join(dataset)}; choose one")
    return ArrowSource(name, lambda rows: dataset.with_format("arrow").iter(batch_size=rows))


def schema_of(path: Path) -> pa.Schema:
    with _readable(str(path)):
        if path.suffix == ".parquet":
            return pq.read_schema(path)
        with pa.memory_map(str(path)) as file:
            return _ipc_reader(file).schema


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Every row of a parquet or arrow file as a dict."""
    tables = _parquet_tables if path.suffix == ".parquet" else _ipc_tables
    with _readable(str(path)):
        for table in tables(path, 64):
            yield from table.to_pylist()


def _parquet_tables(path: Path, rows: int) -> Iterator[pa.Table]:
    # pre_buffer would hold a whole row group in memory, however large it is.
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield pa.Table.from_batches([batch])


def _ipc_tables(path: Path, rows: int) -> Iterator[pa.Table]:
    with pa.memory_map(str(path)) as file:
        reader = _ipc_reader(file)
        stream = isinstance(reader, pa.RecordBatchStreamReader)
        batches = reader if stream else map(reader.get_batch, range(reader.num_record_batches))
        for batch in batches:
            for start in range(0, batch.num_rows, rows):
                yield pa.Table.from_batches([batch.slice(start, rows)])


def _ipc_reader(file: Any) -> Any:
    magic = file.read(6)
    file.seek(0)
    return pa.ipc.open_file(file) if magic == b"ARROW1" else pa.ipc.open_stream(file)


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


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """`pa.array`, but without the import of pandas that it makes (half of a run's memory) where that can be helped."""
    if all(value is None for value in values):
        return pa.nulls(len(values), kind)
    if None in values or not (pa.types.is_list(kind) and pa.types.is_primitive(kind.value_type)):
        return pa.array(values, type=kind)
    ends = np.cumsum([0, *map(len, values)])
    numbers = np.fromiter(chain.from_iterable(values), dtype=kind.value_type.to_pandas_dtype(), count=ends[-1])
    offsets = _numbers(ends.astype(np.int32), pa.int32())
    return pa.ListArray.from_arrays(offsets, _numbers(numbers, kind.value_type), type=kind)


def _numbers(values: np.ndarray[Any, Any], kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _grouped(parts: Sequence[Path]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    rows = size = 0
    for part in parts:
        with pa.memory_map(str(part)) as file:
            waiting.append(pa.ipc.open_file(file).read_all())
        rows, size = rows + waiting[-1].num_rows, size + waiting[-1].nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


@contextmanager
def _writer(out: Path, file: Any, schema: pa.Schema) -> Iterator[Any]:
    if out.suffix == ".parquet":
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            yield writer
    else:
        with pa.ipc.new_stream(file, schema) as writer:
            yield writer


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{name}: cannot be read ({error})") from None
