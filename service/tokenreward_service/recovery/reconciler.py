"""Finds work that was lost and publishes it again. One at a time, whoever holds the lock; RQ's own retries stay off.

Lost is: a claimed shard whose lease ended (the engine made no progress, or its host is gone), a claimed shard whose
worker has no connection to Redis any more, and a queued shard whose doorbell was swallowed by a crash. A shard that
keeps taking its worker down is split, down to the item that does it, which then gets an error of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import anyio.to_thread
import redis.exceptions

from tokenreward.protocol import doorbell, keys
from tokenreward.protocol.arrow_blobs import Entry, pack_failures
from tokenreward.protocol.records import Corrupt, JobSlice, Requeued, Shard, commit_args, dump_shards, parse_record
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.worker_records import connection_name
from tokenreward.schema import ItemFailure
from tokenreward_service.recovery.doorbells import _DOORBELL_GRACE, _ids
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.publishing import JobStore

log = logging.getLogger(__name__)

#: A killed service leaves its lock behind for this long. Two at work at once would do no harm: every step is a script
#: that does nothing the second time.
_LOCK_SECONDS = 3.0
_SWEEP_EVERY = 300.0


class Reconciler:
    def __init__(self, redis: Any, sync: Any, store: JobStore, settings: ServiceSettings) -> None:
        self._redis = redis
        self._sync = sync
        self._store = store
        self._settings = settings
        self._scripts = Scripts(redis)
        self._suspects: set[str] = set()
        self._swept = time.monotonic()

    async def run(self) -> None:
        """Reconcile until cancelled. A fault in one round is logged; the next round tries again."""
        while True:
            await asyncio.sleep(self._settings.reconcile_seconds)
            try:
                lock = self._redis.lock(keys.RECONCILER_LOCK, timeout=_LOCK_SECONDS, blocking=False)
                if await lock.acquire():
                    try:
                        await self.round()
                    finally:
                        await lock.release()
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("reconciler: %s", error)
            except Exception:  # recovery must outlive whatever it meets; the next round looks again
                log.exception("reconciler: a round failed")

    async def round(self) -> None:
        """Look once for everything that may be lost."""
        for shard, worker in await self._lost():
            await self._give_back(shard, worker)
        await self._ring_again()
        if time.monotonic() - self._swept > _SWEEP_EVERY:
            self._swept = time.monotonic()
            await self._store.sweep()

    async def _lost(self) -> list[tuple[str, str]]:
        """Claimed shards whose lease ended or whose worker is gone, with that worker."""
        claimed = await self._redis.zrange(keys.CLAIMED, 0, -1, withscores=True)
        if not claimed:
            self._suspects.clear()
            return []
        seconds, _ = await self._redis.time()
        names = await self._real(keys.CLAIMED, [name.decode("utf-8", "replace") for name, _ in claimed])
        deadlines = {name.decode("utf-8", "replace"): deadline for name, deadline in claimed}
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(keys.shard(name), "worker")
            workers = [(worker or b"").decode() for worker in await pipe.execute()]
        gone = await self._gone(set(workers))
        lost = []
        for shard, worker in zip(names, workers, strict=True):
            if deadlines[shard] < seconds:
                log.warning("shard %s: the lease of worker %s ended", shard, worker, extra=_ids(shard, worker))
            elif worker in gone:
                log.warning("shard %s: worker %s is gone", shard, worker, extra=_ids(shard, worker))
            else:
                continue
            lost.append((shard, worker))
        return lost

    async def _gone(self, workers: set[str]) -> set[str]:
        """Workers without any connection in two rounds running (one may be a reconnect)."""
        connected = {client.get("name") for client in await self._redis.client_list()}
        missing = {worker for worker in workers if connection_name(worker) not in connected}
        gone = missing & self._suspects
        self._suspects = missing
        return gone

    async def _give_back(self, shard: str, worker: str) -> None:
        text = await self._scripts.requeue(args=[shard, worker, 1])
        if not text:
            return
        await self._redis.hincrby(keys.COUNTERS, "recoveries", 1)
        requeued = parse_record(Requeued, text)
        items = sum(member.count for member in requeued.members)
        if items == 1 and requeued.attempts >= self._settings.max_attempts:
            await self._give_up(shard, requeued.members[0], requeued.attempts)
        elif items > 1 and requeued.attempts >= 2:
            await self._split(shard, requeued)
        else:
            await self._ring(requeued.fp, [shard])

    async def _split(self, shard: str, requeued: Requeued) -> None:
        members = requeued.members
        if len(members) > 1:
            groups: Sequence[Sequence[JobSlice]] = (members[: len(members) // 2], members[len(members) // 2 :])
        else:
            groups = [[half] for half in members[0].halves()]
        # One attempt each is remembered: the next worker that a half takes down splits it again.
        shards = [Shard(fp=requeued.fp, members=list(group), attempts=1) for group in groups]
        halves = [s.id for s in shards]
        log.warning("shard %s took %d workers down: split into %s", shard, requeued.attempts, halves, extra=_ids(shard))
        if await self._scripts.split(args=[shard, dump_shards(shards)]):
            await self._ring(requeued.fp, [half.id for half in shards])

    async def _give_up(self, shard: str, member: JobSlice, attempts: int) -> None:
        failure = ItemFailure(code="poison", message=f"scoring this item took {attempts} workers down")
        log.error(
            "item %d of job %s took %d workers down: it gets an error",
            *(member.start, member.job, attempts),
            extra=_ids(shard, job=member.job),
        )
        try:
            entries = await self._store.entries(member)
        except Corrupt:
            entries = [Entry(None)]
        blob = await self._store.store_blob(member.job, pack_failures(member.start, entries, failure))
        await self._scripts.commit(args=commit_args(shard, [(member, 1, 0, blob)]))

    async def _ring_again(self) -> None:
        """Queued shards that no doorbell announces get a new one."""
        for key in [key async for key in self._redis.scan_iter(match=keys.QUEUED_PREFIX + "*", count=1000)]:
            fingerprint = key.decode("utf-8", "replace").removeprefix(keys.QUEUED_PREFIX)
            seconds, micros = await self._redis.time()
            old = await self._redis.zrangebyscore(key, "-inf", seconds + micros / 1e6 - _DOORBELL_GRACE)
            if not old:
                continue
            bells = set(await self._redis.lrange(f"rq:queue:{doorbell.queue_name(fingerprint)}", 0, -1))
            silent = [name.decode("utf-8", "replace") for name in old if name not in bells]
            if silent:
                log.info("%d queued shards had no doorbell", len(silent))
                await self._ring(fingerprint, await self._real(key, silent))

    async def _real(self, index: str, shards: Sequence[str]) -> list[str]:
        """Those that exist; the others (nothing of ours leaves them) are taken off the index."""
        real = [shard for shard in shards if await self._redis.exists(keys.shard(shard))]
        if ghosts := set(shards) - set(real):
            await self._redis.zrem(index, *ghosts)
        return real

    async def _ring(self, fingerprint: str, shards: Sequence[str]) -> None:
        def ring() -> None:
            with self._sync.pipeline(transaction=True) as pipe:
                doorbell.ring(fingerprint, shards, self._sync, pipe, front=True)
                pipe.execute()

        await anyio.to_thread.run_sync(ring)
