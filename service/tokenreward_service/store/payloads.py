"""Items and results: the blobs of a job, in Redis or spilled, and their removal."""

from __future__ import annotations

import logging
from typing import Any

import anyio.to_thread
import pyarrow as pa

from tokenreward.protocol import keys
from tokenreward.protocol.arrow_blobs import Entry, unpack_entries, unpack_ids, unpack_results
from tokenreward.protocol.records import Corrupt, JobSlice
from tokenreward.protocol.spill import BlobsAway, Spill, spilled

log = logging.getLogger(__name__)

#: Ranges that are read from the index at once.
_PAGE = 32


class Payloads:
    """Reads and writes the blobs of jobs.

    Args:
        redis: Async client.
        sync: Sync client of the same server, for what runs in threads.
        spill: Where large payloads go.
    """

    def __init__(self, redis: Any, sync: Any, spill: Spill) -> None:
        self._redis = redis
        self._sync = sync
        self._spill = spill

    @property
    def spilling(self) -> bool:
        """Whether there is a blob store beside Redis."""
        return self._spill.used

    async def slices(self, job_id: str) -> list[int]:
        """The first index of every slice, in order."""
        return sorted(int(name) for name in await self._redis.hkeys(keys.items(job_id)))

    async def ids(self, job_id: str, first: int) -> list[str | None]:
        """The ids of the entries of the slice that begins at `first`; empty if there is none."""
        stored = await self._redis.hget(keys.items(job_id), first)
        return [] if stored is None else unpack_ids(await self._load(stored))

    async def ranges(self, job_id: str, at: int) -> list[tuple[int, int]]:
        """A page of the finished ranges, (start, count) each, from the one that holds item `at` on."""
        key = keys.ranges(job_id)
        holding = await self._redis.zrevrangebyscore(key, at, "-inf", start=0, num=1)
        following = await self._redis.zrangebyscore(key, f"({at}", "+inf", start=0, num=_PAGE)
        parsed = [tuple(map(int, name.split(b":"))) for name in [*holding, *following]]
        return [(first, count) for first, count in parsed if first + count > at]

    async def pinned_to(self, job_id: str) -> str | None:
        """The digest of the fingerprint that the job's results are of; None if the job is gone."""
        digest = await self._redis.hget(keys.job(job_id), "fp")
        return None if digest is None else digest.decode("ascii", "replace")

    async def range_results(self, job_id: str, first: int, count: int) -> pa.Table | None:
        """The results of one finished range, a table of RESULTS_SCHEMA with `count` rows.

        Returns:
            None if the range was purged or retried in the meantime.

        Raises:
            Corrupt: The stored results cannot be read, or are fewer or more.
        """
        stored = await self._redis.hget(keys.results(job_id), first)
        if stored is None:
            return None
        table = unpack_results(await self._load(stored))
        if table.num_rows != count:
            if await self._redis.zscore(keys.ranges(job_id), f"{first}:{count}") is None:
                return None
            raise Corrupt(f"results of job {job_id} from item {first} on are incomplete")
        return table

    async def entries(self, member: JobSlice) -> list[Entry]:
        """The entries behind a member of a shard.

        Raises:
            Corrupt: They are gone, or cannot be read.
        """
        stored = await self._redis.hget(keys.items(member.job), member.slice)
        if stored is None:
            raise Corrupt(f"the items of job {member.job} are gone")
        return unpack_entries(await self._load(stored), member.offset, member.count)

    async def store_blob(self, job_id: str, data: bytes) -> bytes:
        """What to put into Redis for `data`: the bytes themselves, or a reference to where they were spilled."""
        return await anyio.to_thread.run_sync(self._spill.store, job_id, data, self._sync)

    async def forget(self, job_id: str) -> bool:
        """Remove what was spilled for a job; False if it is still there and the sweep has to try again."""
        try:
            await anyio.to_thread.run_sync(self._spill.forget, job_id)
        except BlobsAway as error:
            log.warning("what job %s spilled is still there: %s", job_id, error)
            return False
        return True

    async def _load(self, stored: bytes) -> bytes:
        if spilled(stored):
            return await anyio.to_thread.run_sync(self._spill.load, stored)
        return self._spill.load(stored)
