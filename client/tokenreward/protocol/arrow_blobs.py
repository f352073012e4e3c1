"""Items and results as Arrow IPC with zstd buffers: small in Redis, and ready to be sent as Arrow.

A stored blob is one tag byte and then either the Arrow bytes themselves or the path of a file that holds them
(`Spill`: a directory or an object store, for payloads above a size).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from tokenreward.protocol.records import Corrupt
from tokenreward.schema import Item, ItemFailure, ItemResult

_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")

_FAILURE = pa.struct({"code": pa.string(), "message": pa.string(), "pointer": pa.string()})

ENTRIES_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "error": _FAILURE,  # where it is set, the input had no item here, and the rest is null
        "prompt": pa.string(),  # JSON: a string or a list of messages
        "response": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "finished": pa.bool_(),
    }
)

RESULTS_SCHEMA = pa.schema(
    {
        "index": pa.int64(),
        "id": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "rewards": pa.list_(pa.float32()),
        "logprobs": pa.map_(pa.string(), pa.list_(pa.float32())),
        "tokens": pa.list_(pa.string()),
        "offsets": pa.list_(pa.list_(pa.int32(), 2)),
        "error": _FAILURE,
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in a job's input: an item, or why what stood there is none."""

    id: str | None
    item: Item | None = None
    failure: ItemFailure | None = None


def warm_up() -> None:
    """Make pyarrow ready: its first array imports pandas, where there is one, and that takes a second or more.

    Better now than in the middle of the first request, or of the first shard.
    """
    pa.array([0])


def pack_entries(entries: Iterable[Entry]) -> bytes:
    return _write(pa.Table.from_pylist([_entry_row(entry) for entry in entries], schema=ENTRIES_SCHEMA))


def unpack_entries(data: bytes, offset: int, count: int) -> list[Entry]:
    """`count` entries from `offset` on. Raises Corrupt."""
    rows = _read(data, ENTRIES_SCHEMA).slice(offset, count).to_pylist()
    if len(rows) != count:
        raise Corrupt(f"a slice holds {len(rows)} items where {count} were promised")
    return [_entry(row) for row in rows]


def unpack_ids(data: bytes) -> list[str | None]:
    """The ids of a whole slice."""
    ids: list[str | None] = _read(data, ENTRIES_SCHEMA)["id"].to_pylist()
    return ids


def _entry_row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {"id": _plain(entry.id), "error": entry.failure and entry.failure.model_dump()}
    if entry.item is not None:
        prompt = entry.item.prompt
        row["prompt"] = json.dumps(prompt if isinstance(prompt, str) else [m.model_dump() for m in prompt])
        row |= {
            "response": entry.item.response,
            "token_ids": entry.item.token_ids,
            "finished": entry.item.finished,
        }
    return row


def _entry(row: dict[str, Any]) -> Entry:
    failure = row.pop("error")
    try:
        if failure is not None:
            return Entry(row["id"], failure=ItemFailure(**failure))
        return Entry(row["id"], item=Item(**{**row, "prompt": json.loads(row["prompt"])}))
    except (ValueError, TypeError, ValidationError) as error:
        raise Corrupt("an item in Redis cannot be read") from error


def pack_results(results: Sequence[ItemResult]) -> bytes:
    return _write(pa.Table.from_pylist([_row(result) for result in results], schema=RESULTS_SCHEMA))


def pack_table(table: pa.Table) -> bytes:
    """Results that are a table of RESULTS_SCHEMA already."""
    assert table.schema.equals(RESULTS_SCHEMA)
    return _write(table)


def pack_failures(start: int, entries: Sequence[Entry], failure: ItemFailure | None = None) -> bytes:
    """Outcomes of a run of entries that all failed: with `failure`, or each with its own."""
    return pack_results(
        [ItemResult(index=i, id=e.id, error=e.failure or failure) for i, e in enumerate(entries, start)]
    )


def unpack_results(data: bytes) -> pa.Table:
    """A table of RESULTS_SCHEMA. Raises Corrupt."""
    return _read(data, RESULTS_SCHEMA)


def result_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as the wire shows them: fields that are absent are left out."""
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        if row["logprobs"] is not None:
            row["logprobs"] = dict(row["logprobs"])
        if row["error"] is not None and row["error"]["pointer"] is None:
            del row["error"]["pointer"]
        for field in [field for field, value in row.items() if value is None]:
            del row[field]
    return rows


def to_table(results: Sequence[ItemResult]) -> pa.Table:
    return pa.Table.from_pylist([_row(result) for result in results], schema=RESULTS_SCHEMA)


def _row(result: ItemResult) -> dict[str, Any]:
    return {
        "index": result.index,
        "id": _plain(result.id),
        "token_ids": result.token_ids,
        "rewards": result.rewards,
        "logprobs": None if result.logprobs is None else list(result.logprobs.items()),
        "tokens": None if result.tokens is None else [_plain(token) for token in result.tokens],
        "offsets": result.offsets,
        "error": None if result.error is None else result.error.model_dump(),
    }


def _plain(text: str | None) -> str | None:
    """Lone surrogates (JSON's \\ud800 and the like) have no UTF-8 form; they become U+FFFD."""
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")


def _write(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _read(data: bytes, schema: pa.Schema) -> pa.Table:
    try:
        with pa.ipc.open_stream(data) as reader:
            if not reader.schema.equals(schema):
                raise Corrupt("a blob in Redis has another layout than this version writes")
            table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Corrupt("a blob in Redis cannot be read") from error
    return table
