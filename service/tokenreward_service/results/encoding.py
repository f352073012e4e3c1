"""How results are sent: as NDJSON, or as an Arrow stream. Both end with where to go on."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pyarrow as pa
from pydantic_core import to_json

from tokenreward.protocol.arrow_blobs import RESULTS_SCHEMA, result_rows
from tokenreward_service.results.ordering import Selection

#: Of Arrow's numbers that are turned into text at a time.
_PIECE_BYTES = 2**20


async def encode_ndjson(selection: Selection) -> AsyncIterator[bytes]:
    """One result a line; the last line is a `ResultsEnd`."""
    async for table in _small(selection.tables()):
        # Numbers are nearly all of it: pydantic's encoder takes a thirteenth of `json`'s time, which used to be
        # three quarters of what this process did (benchmarks/scale.py).
        yield b"".join(to_json(row) + b"\n" for row in result_rows(table))
    yield (await selection.end()).model_dump_json().encode() + b"\n"


async def _small(tables: AsyncIterator[pa.Table]) -> AsyncIterator[pa.Table]:
    """The same rows in tables of about `_PIECE_BYTES`: each of their numbers becomes an object of Python."""
    async for table in tables:
        rows = max(1, int(table.num_rows * _PIECE_BYTES / max(1, table.nbytes)))
        for start in range(0, table.num_rows, rows):
            yield table.slice(start, rows)


async def encode_arrow(selection: Selection) -> AsyncIterator[bytes]:
    """An IPC stream: provenance in the schema's metadata, `next` and `complete` in that of a last, empty batch."""
    sink = io.BytesIO()
    metadata = {"provenance": selection.job.provenance.model_dump_json(), "job": selection.job.id}
    writer: Any = pa.ipc.new_stream(sink, RESULTS_SCHEMA.with_metadata(metadata))
    async for table in selection.tables():
        writer.write_table(table.replace_schema_metadata(None))
        yield _drained(sink)
    reached = await selection.end()
    empty = pa.RecordBatch.from_pylist([], schema=RESULTS_SCHEMA)
    end = {"next": str(reached.next), "complete": json.dumps(reached.complete)}
    writer.write_batch(empty, custom_metadata=end)
    writer.close()
    yield _drained(sink)


def _drained(sink: io.BytesIO) -> bytes:
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data
