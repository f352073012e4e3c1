"""Labeled rows as parquet or Arrow IPC."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.meta import META_KEY

_TYPES = {
    "token_ids": pa.list_(pa.int32()),
    "token_rewards": pa.list_(pa.float32()),
    "token_error": pa.string(),
    "tokens": pa.list_(pa.string()),
    "token_offsets": pa.list_(pa.list_(pa.int32())),
}
#: Rows and bytes that make a row group of the output.
_GROUP_ROWS, _GROUP_BYTES = 8192, 32 << 20


class ArrowSink:
    """Labeled parts as Arrow IPC files, then one parquet file or Arrow stream with the metadata in its schema."""

    def write(self, path: Path, payload: pa.Table, labels: dict[str, list[Any]]) -> None:
        """See `Sink.write`."""
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
        """See `Sink.assemble`."""
        with pa.memory_map(str(parts[0])) as file:
            schema = pa.ipc.open_file(file).schema
        # `datasets` describes its columns under this key; with columns added, the description would be wrong.
        kept = {key: value for key, value in (schema.metadata or {}).items() if key not in {b"huggingface", b"pandas"}}
        schema = schema.with_metadata(kept | {META_KEY: json.dumps(meta, ensure_ascii=False).encode()})
        with replace(out) as file, _writer(out, file, schema) as writer:
            for table in _grouped(parts):
                writer.write_table(table.replace_schema_metadata(schema.metadata))


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Do what `pa.array` does, but without its import of pandas (half of a run's memory) where that can be avoided."""
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
