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


async def encode_ndjson(selection: Selection) -> AsyncIterator[bytes]:
    """One result a line; the last line is a `ResultsEnd`."""
    async for table in selection.tables():
        # Numbers are nearly all of it: pydantic's encoder takes a thirteenth of `json`'s time, which used to be
        # three quarters of what this process did (benchmarks/scale.py).
        yield b"".join(to_json(row) + b"\n" for row in result_rows(table))
    yield (await selection.end()).model_dump_json().encode() + b"\n"


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
