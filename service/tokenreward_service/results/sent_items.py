"""Reads a job's items as they were sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.protocol.records import JobSlice
from tokenreward.schema import Job
from tokenreward_service.store.payloads import Payloads


async def sent_items(payloads: Payloads, job: Job, start: int, limit: int) -> AsyncIterator[tuple[int, Entry]]:
    """Read entries of a job in input order.

    Args:
        payloads: Where the items are.
        job: A snapshot of the job.
        start: The index of the first entry.
        limit: The most entries.

    Yields:
        The index of each entry, and the entry.

    Raises:
        Corrupt: They cannot be read, or are gone.
    """
    end = min(start + limit, job.total_items)
    firsts = await payloads.slices(job.id)
    for first, following in zip(firsts, [*firsts[1:], job.total_items], strict=True):
        begin, stop = max(start, first), min(end, following)
        if begin < stop:
            member = JobSlice(job=job.id, slice=first, offset=begin - first, count=stop - begin)
            for index, entry in enumerate(await payloads.entries(member), begin):
                yield index, entry
