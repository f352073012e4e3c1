"""The job store: jobs in, snapshots and results out. Redis holds the state; every change is one script.

Reading is async; publishing runs in a thread, because RQ (whose doorbells belong into the same transaction) is
synchronous.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import anyio.to_thread
import pyarrow as pa

from tokenreward.protocol import doorbell, keys
from tokenreward.protocol.arrow_blobs import (
    Entry,
    pack_entries,
    pack_failures,
    unpack_entries,
    unpack_ids,
    unpack_results,
)
from tokenreward.protocol.records import Corrupt, JobSlice, Shard, dump_shards
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.spill import BlobsAway, Spill, spilled
from tokenreward.schema import Job
from tokenreward_service.problems import unavailable
from tokenreward_service.store.drafts import Draft, Plan, Slice
from tokenreward_service.store.payloads import _PAGE
from tokenreward_service.store.snapshots import _LISTED, _snapshot

log = logging.getLogger(__name__)

#: What is staged but never published disappears after this many seconds.
_STAGING_TTL = 3600
_HELD_BYTES = 2**20


class JobStore:
    """
    redis: async client.  sync: sync client of the same server, for transactions that ring doorbells.
    """

    def __init__(self, redis: Any, sync: Any, spill: Spill) -> None:
        self._redis = redis
        self._sync = sync
        self._spill = spill
        self._missed: set[str] = set()  # jobs that the last sweep found gone
        self._scripts = Scripts(redis)
        self._sync_scripts = Scripts(sync)

    # ---- taking a job in --------------------------------------------------------------------------------

    def draft(self, plan: Plan, owner: str, ttl: int) -> Draft:
        return Draft(uuid4().hex, plan, owner, ttl)

    async def stage(self, draft: Draft, piece: Slice) -> None:
        """Take one slice. Blobs are held back up to a size, so that a small job is written with its publication.

        A reference is not held back: what Redis does not know of would be swept.
        """
        draft.count(piece)
        if piece.scorable:
            draft.slices.append((piece.start, len(piece.entries), piece.estimated))
        else:
            draft.hopeless.append(piece)
        blob = await self.store_blob(draft.id, pack_entries(piece.entries))
        draft.held[piece.start] = blob
        if spilled(blob) or sum(map(len, draft.held.values())) > _HELD_BYTES:
            held, draft.held = draft.held, {}
            draft.staged += len(held)
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(keys.items(draft.id), mapping=held)
                pipe.expire(keys.items(draft.id), _STAGING_TTL)
                await pipe.execute()

    async def confirm(self, draft: Draft) -> None:
        """All that was staged is there, and stays while the draft is published. Raises ProblemError (503)."""
        if not draft.staged:
            return
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.expire(keys.items(draft.id), _STAGING_TTL)
            pipe.hlen(keys.items(draft.id))
            _, there = await pipe.execute()
        if there < draft.staged:
            raise unavailable("The first items of this upload are gone; nothing was accepted. Send it again, faster.")

    async def abandon(self, draft: Draft) -> None:
        await self._redis.delete(keys.items(draft.id))
        await self._forget(draft.id)

    async def publish(self, drafts: Sequence[Draft], shards: Sequence[Shard]) -> None:
        """Jobs, their shards and the doorbells, in one transaction that is on disk when this returns."""
        await anyio.to_thread.run_sync(self._publish, drafts, shards)

    def _publish(self, drafts: Sequence[Draft], shards: Sequence[Shard]) -> None:
        with self._sync.pipeline(transaction=True) as pipe:
            for draft in drafts:
                args: list[Any] = [draft.id, json.dumps(draft.record), draft.owner]
                for piece in draft.hopeless:
                    blob = self._spill.store(draft.id, pack_failures(piece.start, piece.entries), self._sync)
                    args += [piece.start, len(piece.entries), blob]
                if draft.held:
                    pipe.hset(keys.items(draft.id), mapping=draft.held)
                if draft.idempotency:
                    pipe.set(*draft.idempotency)
                self._sync_scripts.publish(args=args, client=pipe)
            self._queue(shards, pipe)
            pipe.execute()

    def _queue(self, shards: Sequence[Shard], pipe: Any) -> None:
        for i in range(0, len(shards), 1000):
            self._sync_scripts.queue(args=[dump_shards(shards[i : i + 1000])], client=pipe)
        self._ring(shards, pipe)

    def _ring(self, shards: Sequence[Shard], pipe: Any) -> None:
        for fingerprint in {shard.fp for shard in shards}:
            for front in (False, True):
                ids = [shard.id for shard in shards if shard.fp == fingerprint and shard.front == front]
                doorbell.ring(fingerprint, ids, self._sync, pipe, front=front)

    # ---- what a job looks like --------------------------------------------------------------------------

    async def get(self, job_id: str, owner: str | None = None) -> Job | None:
        """The snapshot, or None if there is no such job (of that owner)."""
        if not keys.is_job_id(job_id):  # `{id}:items` would name another key of that job
            return None
        fields = await self._redis.hgetall(keys.job(job_id))
        if not fields or (owner is not None and fields.get(b"owner") != owner.encode()):
            return None
        return _snapshot(job_id, fields)

    async def owner(self, job_id: str) -> str:
        """Whose job it is; empty if there is no such job."""
        return ((await self._redis.hget(keys.job(job_id), "owner")) or b"").decode("utf-8", "replace")

    async def page(self, owner: str, limit: int, before: float | None = None) -> list[Job]:
        """Newest first, those created before `before`; fewer than `limit` only where there are no more."""
        jobs: list[Job] = []
        bound = f"({before}" if before is not None else "+inf"
        while len(jobs) < limit:
            listed = await self._redis.zrevrangebyscore(
                keys.jobs(owner), bound, "-inf", start=0, num=_LISTED, withscores=True
            )
            if not listed:
                break
            bound = f"({listed[-1][1]}"
            for name in await self._unexpired(owner, [name for name, _ in listed]):
                if len(jobs) < limit and (job := await self.get(name, owner)):
                    jobs.append(job)
        return jobs

    async def _unexpired(self, owner: str, listed: Sequence[bytes]) -> list[str]:
        """Those that exist; the others are taken off the owner's list."""
        names = {raw: raw.decode("utf-8", "replace") for raw in listed}
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names.values():
                pipe.exists(keys.job(name))
            there = dict(zip(listed, await pipe.execute(), strict=True))
        if gone := [raw for raw in listed if not there[raw]]:
            await self._redis.zrem(keys.jobs(owner), *gone)
        return [names[raw] for raw in listed if there[raw]]

    # ---- changing a job ---------------------------------------------------------------------------------

    async def cancel(self, job_id: str) -> bool:
        """Whether it was still running or queued."""
        return bool(await self._scripts.cancel(args=[job_id]) == 1)

    async def sweep(self) -> None:
        """Remove what was spilled for jobs that are gone: in this sweep and the one before.

        One look does not tell, because a slice is written a moment before Redis knows its draft.
        """
        if not self._spill.used:
            return
        names = [name.decode("utf-8", "replace") for name in await self._redis.smembers(keys.SPILLED)]
        there: list[int] = []
        for i in range(0, len(names), 1000):
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names[i : i + 1000]:
                    pipe.exists(keys.job(name), keys.items(name))
                there += await pipe.execute()
        missed = {name for name, found in zip(names, there, strict=True) if not found}
        for name in missed & self._missed:
            if await self._forget(name):
                await self._redis.srem(keys.SPILLED, name)
        self._missed = missed

    async def purge(self, job_id: str) -> None:
        await self._scripts.purge(args=[job_id, await self.owner(job_id)])
        await self._forget(job_id)

    async def _forget(self, job_id: str) -> bool:
        """Remove what was spilled for a job; False if the sweep has to try again."""
        try:
            await anyio.to_thread.run_sync(self._spill.forget, job_id)
        except BlobsAway as error:
            log.warning("what job %s spilled is still there: %s", job_id, error)
            return False
        return True

    async def requeue_failed(self, args: Sequence[Any], shards: Sequence[Shard]) -> bool:
        """The retry script with its shards and their doorbells; whether the job was still at that version."""
        return await anyio.to_thread.run_sync(self._requeue_failed, args, shards)

    def _requeue_failed(self, args: Sequence[Any], shards: Sequence[Shard]) -> bool:
        with self._sync.pipeline(transaction=True) as pipe:
            self._sync_scripts.retry(args=args, client=pipe)
            # Should the script decline, these ring for shards that do not exist: a claim then finds nothing.
            self._ring(shards, pipe)
            return bool(pipe.execute()[0] == 1)

    # ---- blobs ------------------------------------------------------------------------------------------

    async def slices(self, job_id: str) -> list[int]:
        """First index of every slice, in order."""
        return sorted(int(name) for name in await self._redis.hkeys(keys.items(job_id)))

    async def ids(self, job_id: str, first: int) -> list[str | None]:
        """The ids of a slice's entries."""
        stored = await self._redis.hget(keys.items(job_id), first)
        return [] if stored is None else unpack_ids(await self._load(stored))

    async def ranges(self, job_id: str, at: int) -> list[tuple[int, int]]:
        """Finished ranges (start, count) from the one that holds item `at` on; a page of them."""
        key = keys.ranges(job_id)
        holding = await self._redis.zrevrangebyscore(key, at, "-inf", start=0, num=1)
        following = await self._redis.zrangebyscore(key, f"({at}", "+inf", start=0, num=_PAGE)
        parsed = [tuple(map(int, name.split(b":"))) for name in [*holding, *following]]
        return [(first, count) for first, count in parsed if first + count > at]

    async def range_results(self, job_id: str, first: int, count: int) -> pa.Table | None:
        """The results of one finished range; None if it was purged or retried under our hands. Raises Corrupt."""
        stored = await self._redis.hget(keys.results(job_id), first)
        if stored is None:
            return None
        table = unpack_results(await self._load(stored))
        if table.num_rows != count:
            raise Corrupt(f"results of job {job_id} from item {first} on are incomplete")
        return table

    async def entries(self, member: JobSlice) -> list[Entry]:
        """The entries behind a member of a shard. Raises Corrupt."""
        stored = await self._redis.hget(keys.items(member.job), member.slice)
        if stored is None:
            raise Corrupt(f"the items of job {member.job} are gone")
        return unpack_entries(await self._load(stored), member.offset, member.count)

    async def store_blob(self, job_id: str, data: bytes) -> bytes:
        return await anyio.to_thread.run_sync(self._spill.store, job_id, data, self._sync)

    async def _load(self, stored: bytes) -> bytes:
        if stored[:1] == b"i":
            return stored[1:]
        return await anyio.to_thread.run_sync(self._spill.load, stored)


def shards_of(draft: Draft, *, front: bool = False) -> list[Shard]:
    """One shard for each slice that has work in it."""
    return [
        Shard(
            fp=draft.plan.fingerprint,
            members=[JobSlice(job=draft.id, slice=start, offset=0, count=count)],
            estimated=estimated,
            front=front,
        )
        for start, count, estimated in draft.slices
    ]
