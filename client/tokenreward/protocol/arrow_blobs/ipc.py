"""Tables as Arrow IPC with zstd buffers, and what both kinds of blob share."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from tokenreward.protocol.records import Corrupt

_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")
FAILURE = pa.struct({"code": pa.string(), "message": pa.string(), "pointer": pa.string()})


def warm_up() -> None:
    """Make pyarrow ready.

    Its first array imports pandas, where pandas is installed, and that takes a second or more: better now than in the
    middle of the first request or shard.
    """
    pa.array([0])


def utf8(text: str | None) -> str | None:
    r"""Replace lone surrogates (JSON's \ud800 and the like), which have no UTF-8 form, by U+FFFD."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")


def write_table(table: pa.Table) -> bytes:
    """Return the table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def read_table(data: bytes, schema: pa.Schema, added: Sequence[str] = ()) -> pa.Table:
    """Read a table from an Arrow stream.

    Args:
        data: The stream.
        schema: What this version writes.
        added: Its last columns, which blobs of earlier versions do not have. They are filled with nulls.

    Raises:
        Corrupt: The stream cannot be read, or its table is neither of `schema` nor of an earlier one.
    """
    try:
        with pa.ipc.open_stream(data) as reader:
            there = [field for field in schema if field.name not in added or field.name in reader.schema.names]
            if not reader.schema.equals(pa.schema(there)):
                raise Corrupt("a blob in Redis has another layout than this version writes")
            table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Corrupt("a blob in Redis cannot be read") from error
    for field in schema:
        if field.name not in table.schema.names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table
