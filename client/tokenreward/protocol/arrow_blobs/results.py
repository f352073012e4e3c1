"""Results as Arrow: one blob for a range of a job's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tokenreward.protocol.arrow_blobs.entries import Entry
from tokenreward.protocol.arrow_blobs.ipc import FAILURE, read_table, utf8, write_table
from tokenreward.schema import ItemFailure, ItemResult, TokenCandidates

_MOMENTS = pa.struct({"entropy": pa.list_(pa.float32()), "variance": pa.list_(pa.float32())})
_CANDIDATES = pa.struct({"ids": pa.list_(pa.list_(pa.int32())), "logprobs": pa.list_(pa.list_(pa.float32()))})

RESULTS_SCHEMA = pa.schema(
    {
        "index": pa.int64(),
        "id": pa.string(),
        "token_ids": pa.list_(pa.int32()),
        "rewards": pa.list_(pa.float32()),
        "logprobs": pa.map_(pa.string(), pa.list_(pa.float32())),
        "tokens": pa.list_(pa.string()),
        "offsets": pa.list_(pa.list_(pa.int32(), 2)),
        "error": FAILURE,
        "difference": pa.list_(pa.float32()),
        "segments": pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32(), "reward": pa.float32()})),
        "turns": pa.list_(pa.int32()),
        "moments": pa.map_(pa.string(), _MOMENTS),
        "top": pa.map_(pa.string(), _CANDIDATES),
        "named": pa.map_(pa.string(), _CANDIDATES),
    }
)

#: Columns that results of earlier versions do not have.
_ADDED = ("difference", "segments", "turns", "moments", "top", "named")


def pack_results(results: Sequence[ItemResult]) -> bytes:
    """Return the blob of these results."""
    return write_table(pa.Table.from_pylist([_row(result) for result in results], schema=RESULTS_SCHEMA))


def pack_table(table: pa.Table) -> bytes:
    """Return the blob of a table of RESULTS_SCHEMA."""
    assert table.schema.equals(RESULTS_SCHEMA)
    return write_table(table)


def pack_failures(start: int, entries: Sequence[Entry], failure: ItemFailure | None = None) -> bytes:
    """Return the blob of results for entries that all failed.

    Args:
        start: The index of the first entry.
        entries: The entries, one after another.
        failure: The failure of those that have none of their own.
    """
    return pack_results(
        [ItemResult(index=i, id=e.id, error=e.failure or failure) for i, e in enumerate(entries, start)]
    )


def unpack_results(data: bytes) -> pa.Table:
    """Return the table, of RESULTS_SCHEMA, in a blob. Raises Corrupt."""
    return read_table(data, RESULTS_SCHEMA, _ADDED)


def result_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table as the wire shows them: absent fields are left out."""
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for field in ("logprobs", "moments", "top", "named"):
            if row[field] is not None:
                row[field] = dict(row[field])
        if row["error"] is not None and row["error"]["pointer"] is None:
            del row["error"]["pointer"]
        for field in [field for field, value in row.items() if value is None]:
            del row[field]
    return rows


def to_table(results: Sequence[ItemResult]) -> pa.Table:
    """Return these results as a table of RESULTS_SCHEMA."""
    return pa.Table.from_pylist([_row(result) for result in results], schema=RESULTS_SCHEMA)


def _row(result: ItemResult) -> dict[str, Any]:
    return {
        "index": result.index,
        "id": utf8(result.id),
        "token_ids": result.token_ids,
        "rewards": result.rewards,
        "logprobs": None if result.logprobs is None else list(result.logprobs.items()),
        "tokens": None if result.tokens is None else [utf8(token) for token in result.tokens],
        "offsets": result.offsets,
        "error": None if result.error is None else result.error.model_dump(),
        "difference": result.difference,
        "segments": None if result.segments is None else [segment.model_dump() for segment in result.segments],
        "turns": result.turns,
        "moments": None if result.moments is None else [(n, m.model_dump()) for n, m in result.moments.items()],
        "top": _candidates(result.top),
        "named": _candidates(result.named),
    }


def _candidates(by_branch: Mapping[str, TokenCandidates] | None) -> list[tuple[str, dict[str, Any]]] | None:
    """Return candidates as Arrow reads them: a row is an array, so that no number becomes an object of its own."""
    if by_branch is None:
        return None
    return [(name, {"ids": list(one.ids), "logprobs": list(one.logprobs)}) for name, one in by_branch.items()]
