"""Reading a job's results in input order, and deciding what a retry runs again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pyarrow as pa

from tokenreward.protocol.arrow_blobs import to_table
from tokenreward.schema import ItemFailure, ItemResult, Job, JobProblem
from tokenreward_service.store.publishing import JobStore


async def read(store: JobStore, job: Job, start: int) -> AsyncIterator[pa.Table]:
    """Tables of RESULTS_SCHEMA from item `start` on, input order, up to the first gap.

    In a job that ended before all was done, a gap is filled with errors that say so.
    """
    at = start
    while at < job.total_items:
        ranges = await store.ranges(job.id, at)
        if not ranges or ranges[0][0] > at:
            if not job.state.terminal:
                return
            until = ranges[0][0] if ranges else job.total_items
            async for table in _unfinished(store, job, at, until):
                yield table
            at = until
            continue
        for first, count in ranges:
            if first > at:
                break
            table = await store.range_results(job.id, first, count)
            if table is None:
                return
            yield table.slice(at - first)
            at = first + count


async def _unfinished(store: JobStore, job: Job, start: int, end: int) -> AsyncIterator[pa.Table]:
    problem = job.problem or JobProblem(code=str(job.state), message=f"the job was {job.state} before this item")
    failure = ItemFailure(code=problem.code, message=problem.message)
    for first in await store.slices(job.id):
        if first >= end:
            break
        indexed = enumerate(await store.ids(job.id, first), first)
        rows = [ItemResult(index=i, id=name, error=failure) for i, name in indexed if start <= i < end]
        if rows:
            yield to_table(rows)
