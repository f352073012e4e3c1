"""Reads a job's results in input order."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pyarrow as pa

from tokenreward.protocol.arrow_blobs import to_table
from tokenreward.schema import ItemFailure, ItemResult, Job
from tokenreward_service.store.payloads import Payloads


async def read_results(payloads: Payloads, job: Job, start: int) -> AsyncIterator[pa.Table]:
    """Read results from item `start` on, up to the first gap.

    In a job that ended before all was done, a gap is filled with errors that say so.

    Yields:
        Tables of RESULTS_SCHEMA, in input order.

    Raises:
        Corrupt: Stored results cannot be read.
    """
    at = start
    while at < job.total_items:
        ranges = await payloads.ranges(job.id, at)
        if not ranges or ranges[0][0] > at:
            if not job.state.terminal:
                return
            until = ranges[0][0] if ranges else job.total_items
            async for table in _unfinished(payloads, job, at, until):
                yield table
            at = until
            continue
        for first, count in ranges:
            if first > at:
                break
            table = await payloads.range_results(job.id, first, count)
            if table is None:
                return
            yield table.slice(at - first)
            at = first + count


async def _unfinished(payloads: Payloads, job: Job, start: int, end: int) -> AsyncIterator[pa.Table]:
    failure = ItemFailure(code=str(job.state), message=f"the job was {job.state} before this item")
    for first in await payloads.slices(job.id):
        if first >= end:
            break
        indexed = enumerate(await payloads.ids(job.id, first), first)
        rows = [ItemResult(index=i, id=name, error=failure) for i, name in indexed if start <= i < end]
        if rows:
            yield to_table(rows)
