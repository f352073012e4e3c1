"""Runs again those items of a finished job that failed or were never finished."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence

from tokenreward.protocol.arrow_blobs import pack_table
from tokenreward.protocol.records import JobSlice, Shard, dump_shards
from tokenreward.schema import Job
from tokenreward_service.store.job_store import JobStore
from tokenreward_service.store.payloads import Payloads


async def retry_failed(store: JobStore, job: Job) -> bool:
    """Queue again what failed or was never finished; what succeeded stays as it is.

    Returns:
        False if there is nothing to do, or the job changed while its results were read.

    Raises:
        Corrupt: Stored items or results cannot be read.
    """
    payloads = store.payloads
    remove: list[str] = []
    kept: list[tuple[int, int, bytes]] = []
    again: list[tuple[int, int]] = []
    failed = at = 0
    while at < job.total_items:
        ranges = await payloads.ranges(job.id, at)
        gap_end = ranges[0][0] if ranges else job.total_items
        if gap_end > at:
            again.append((at, gap_end - at))
            at = gap_end
            continue
        first, count = ranges[0]
        at = first + count
        table = await payloads.range_results(job.id, first, count)
        if table is None:
            return False
        bad = table["error"].is_valid().to_pylist()
        if not any(bad):
            continue
        remove.append(f"{first}:{count}")
        failed += sum(bad)
        for offset, length, is_bad in _runs(bad):
            if is_bad:
                again.append((first + offset, length))
            else:
                blob = pack_table(table.slice(offset, length))
                kept.append((first + offset, length, await payloads.store_blob(job.id, blob)))
    if not again:
        return False
    options = await store.snapshots.options(job.id)
    if options is None:
        return False
    shards = await shards_of_ranges(payloads, job, options.stages[0], again)
    added = json.dumps([[first, count] for first, count, _ in kept])
    args = [job.id, job.version, json.dumps(remove), added, failed, dump_shards(shards), *(blob for _, _, blob in kept)]
    return await store.publisher.requeue_failed(args, shards)


async def shards_of_ranges(
    payloads: Payloads, job: Job, fingerprint: str, ranges: Sequence[tuple[int, int]]
) -> list[Shard]:
    """Shards for ranges of a job's items, cut where its slices are. Each has its share of the job's estimated tokens.

    Args:
        payloads: Where the items are.
        job: Whose items.
        fingerprint: The digest of the set-up that scores them first.
        ranges: (start, count) each, in order.

    Raises:
        Corrupt: Stored items cannot be read.
    """
    shards = []
    left = deque(ranges)
    for first in await payloads.slices(job.id):
        slice_end = first + len(await payloads.ids(job.id, first))
        while left and left[0][0] < slice_end:
            start, count = left[0]
            begin, end = max(start, first), min(start + count, slice_end)
            if begin < end:
                member = JobSlice(job=job.id, slice=first, offset=begin - first, count=end - begin)
                estimated = job.tokens_estimated * member.count // job.total_items
                shards.append(Shard(fp=fingerprint, members=[member], estimated=estimated))
            if start + count > slice_end:
                break
            left.popleft()
    return shards


def _runs(flags: Sequence[bool]) -> list[tuple[int, int, bool]]:
    """Runs of equal flags as (offset, length, flag)."""
    runs: list[tuple[int, int, bool]] = []
    for i, flag in enumerate(flags):
        if runs and runs[-1][2] == flag:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1, flag)
        else:
            runs.append((i, 1, flag))
    return runs
