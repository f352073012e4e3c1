"""What of a job's results is sent, and how: all in input order, errors only, or the extremes by mean reward; as NDJSON
or as an Arrow stream. Every form ends with where to go on."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import to_json

from tokenreward.protocol.arrow_blobs import RESULTS_SCHEMA, result_rows
from tokenreward.schema import Job, ResultsEnd
from tokenreward_service.results import reading as results
from tokenreward_service.results.ordering import _SORTED_ROWS, View, _means
from tokenreward_service.store.publishing import JobStore

NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"


class Delivery:
    """One answer. Iterate `ndjson` or `arrow` once."""

    def __init__(self, store: JobStore, job: Job, view: View) -> None:
        self._store = store
        self._job = job
        self._view = view
        self._next = view.start

    async def ndjson(self) -> AsyncIterator[bytes]:
        async for table in self._tables():
            # Numbers are nearly all of it: pydantic's encoder takes a thirteenth of `json`'s time, which used to be
            # three quarters of what this process did (benchmarks/scale.py).
            yield b"".join(to_json(row) + b"\n" for row in result_rows(table))
        yield self._end.model_dump_json().encode() + b"\n"

    async def arrow(self) -> AsyncIterator[bytes]:
        """An IPC stream: provenance in the schema's metadata, `next` and `complete` in that of a last, empty batch."""
        sink = io.BytesIO()
        metadata = {"provenance": self._job.provenance.model_dump_json(), "job": self._job.id}
        writer: Any = pa.ipc.new_stream(sink, RESULTS_SCHEMA.with_metadata(metadata))
        async for table in self._tables():
            writer.write_table(table.replace_schema_metadata(None))
            yield _drained(sink)
        empty = pa.RecordBatch.from_pylist([], schema=RESULTS_SCHEMA)
        end = {"next": str(self._end.next), "complete": json.dumps(self._end.complete)}
        writer.write_batch(empty, custom_metadata=end)
        writer.close()
        yield _drained(sink)

    @property
    def _end(self) -> ResultsEnd:
        complete = self._next >= self._job.total_items
        return ResultsEnd(next=self._next, complete=complete, provenance=self._job.provenance)

    def _tables(self) -> AsyncIterator[pa.Table]:
        return self._in_order() if self._view.sort is None else self._sorted()

    async def _in_order(self) -> AsyncIterator[pa.Table]:
        left = self._view.limit
        async for table in results.read(self._store, self._job, self._view.start):
            end = self._next + table.num_rows
            if self._view.errors:
                table = table.filter(table["error"].is_valid())
            if left is not None and table.num_rows >= left:
                table = table.slice(0, left)
                # Go on after the last row that was sent.
                self._next = table["index"][-1].as_py() + 1
                yield table
                return
            if left is not None:
                left -= table.num_rows
            self._next = end
            if table.num_rows:
                yield table

    async def _sorted(self) -> AsyncIterator[pa.Table]:
        most = self._view.limit or _SORTED_ROWS
        sign = -1.0 if self._view.sort == "-mean_reward" else 1.0
        best, best_keys = RESULTS_SCHEMA.empty_table(), np.empty(0)
        async for table in results.read(self._store, self._job, self._view.start):
            self._next += table.num_rows
            table = table.filter(pc.greater(pc.list_value_length(table["rewards"]), 0))
            best = pa.concat_tables([best, table])
            best_keys = np.concatenate([best_keys, sign * _means(table)])
            order = np.argsort(best_keys, kind="stable")[:most]
            best, best_keys = best.take(pa.array(order)), best_keys[order]
        yield best


def _drained(sink: io.BytesIO) -> bytes:
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data
