"""Labeled rows as parquet or Arrow IPC."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tokenreward.dataset.arrow_tables import ipc_reader
from tokenreward.dataset.atomic import replace
from tokenreward.dataset.meta import META_KEY
from tokenreward.errors import BadInput

_BY_BRANCH = {
    "moments": pa.struct(
        {"branch": pa.string(), "entropy": pa.list_(pa.float32()), "variance": pa.list_(pa.float32())}
    ),
    "candidates": pa.struct(
        {
            "branch": pa.string(),
            "ids": pa.list_(pa.list_(pa.int32())),
            "logprobs": pa.list_(pa.list_(pa.float32())),
        }
    ),
}
_TYPES = {
    "token_ids": pa.list_(pa.int32()),
    "token_rewards": pa.list_(pa.float32()),
    "token_error": pa.string(),
    "tokens": pa.list_(pa.string()),
    "token_offsets": pa.list_(pa.list_(pa.int32())),
    "token_turns": pa.list_(pa.int32()),
    "token_differences": pa.list_(pa.float32()),
    "token_logprobs": pa.list_(pa.struct({"branch": pa.string(), "logprobs": pa.list_(pa.float32())})),
    "token_moments": pa.list_(_BY_BRANCH["moments"]),
    "token_top": pa.list_(_BY_BRANCH["candidates"]),
    "token_named": pa.list_(_BY_BRANCH["candidates"]),
    "segments": pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32(), "reward": pa.float32()})),
}
#: Rows and bytes that make a row group of the output.
_GROUP_ROWS, _GROUP_BYTES = 8192, 32 << 20
#: Rows that are written on trial.
_TRIED_ROWS = 32


def type_of(column: str) -> pa.DataType:
    """Return the type of a column that labels add, with or without its side in front."""
    return next(kind for suffix, kind in _TYPES.items() if column.endswith(suffix))


class ArrowSink:
    """Labeled parts as Arrow IPC files, then one parquet file or Arrow stream with the metadata in its schema."""

    def check(self, payload: pa.Table, out: Path) -> None:
        """See `Sink.check`."""
        sample = payload.slice(0, _TRIED_ROWS).replace_schema_metadata(None)
        if _refusal(sample, out.suffix) is None:
            return
        for name in sample.column_names:
            column = sample.select([name])
            if (why := _refusal(column, out.suffix)) is not None:
                other = ".arrow" if _refusal(column, ".arrow") is None else ""
                way = f"{other} holds it" if other else "leave the column out"
                raise BadInput(f"{out}: {out.suffix} cannot hold the column {name!a} ({why}); {way}")
        raise BadInput(f"{out}: {out.suffix} cannot hold these columns together ({_refusal(sample, out.suffix)})")

    def write(self, path: Path, payload: pa.Table, labels: dict[str, list[Any]]) -> None:
        """See `Sink.write`."""
        for name, values in labels.items():
            kind = type_of(name)
            if name not in payload.column_names:
                payload = payload.append_column(name, _column(values, kind))
                continue
            # Ids that came with the rows stay, even where there are no rewards for them.
            own = payload[name].to_pylist()
            kept = [mine if value is None else value for value, mine in zip(values, own, strict=True)]
            payload = payload.set_column(payload.column_names.index(name), name, _column(kept, kind))
        _write_part(payload, path)

    def assemble(self, parts: Sequence[Path], out: Path, meta: dict[str, Any]) -> None:
        """See `Sink.assemble`."""
        with pa.memory_map(str(parts[0])) as file:
            schema = ipc_reader(file).schema
        # `datasets` describes its columns under this key; with columns added, the description would be wrong.
        kept = {key: value for key, value in (schema.metadata or {}).items() if key not in {b"huggingface", b"pandas"}}
        schema = schema.with_metadata(kept | {META_KEY: json.dumps(meta, ensure_ascii=False).encode()})
        with replace(out) as file, _writer(out.suffix, file, schema) as writer:
            for table in _grouped(parts):
                writer.write_table(table.replace_schema_metadata(schema.metadata))


def _write_part(table: pa.Table, where: Any) -> None:
    # A stream, because an IPC file holds one dictionary for each column, and chunks of a table may have several.
    with pa.ipc.new_stream(where, table.schema) as writer:
        writer.write_table(table)


def _refusal(table: pa.Table, suffix: str) -> str | None:
    """Return why the table cannot go through a part into a file with this suffix and be read again, or None."""
    try:
        part, whole = io.BytesIO(), io.BytesIO()
        _write_part(table, part)
        with _writer(suffix, whole, table.schema) as writer:
            writer.write_table(ipc_reader(io.BytesIO(part.getvalue())).read_all())
        written = io.BytesIO(whole.getvalue())
        (pq.ParquetFile(written).read() if suffix == ".parquet" else ipc_reader(written).read_all()).validate()
    except (pa.ArrowException, OSError) as error:  # a schema that is nested too deeply is an OSError of pyarrow's
        return " ".join(str(error).split())
    return None


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
            waiting.append(ipc_reader(file).read_all())
        rows, size = rows + waiting[-1].num_rows, size + waiting[-1].nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_tables(waiting)


@contextmanager
def _writer(suffix: str, file: Any, schema: pa.Schema) -> Iterator[Any]:
    if suffix == ".parquet":
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            yield writer
    else:
        with pa.ipc.new_stream(file, schema) as writer:
            yield writer
