"""Finds work that was lost and publishes it again. One reconciler is at work at a time, under a lock.

Three kinds of work count as lost: a claimed shard whose lease ended or whose worker is gone (`lost_shards.py`), and a
queued shard whose doorbell was swallowed by a crash (`doorbells.py`). A shard that keeps taking its workers down is
split (`poison.py`). Jobs for a declared model get its first worker's set-up (`first_worker.py`). RQ's own retries stay
off.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import redis.exceptions

from tokenreward.protocol import keys
from tokenreward_service.cancellation import wanted
from tokenreward_service.fleet import Fleet
from tokenreward_service.recovery.doorbells import Doorbells
from tokenreward_service.recovery.first_worker import FirstWorker
from tokenreward_service.recovery.lost_shards import LostShards
from tokenreward_service.recovery.poison import PoisonHunt
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.job_store import JobStore
from tokenreward_service.store.sweeping import Sweeper

log = logging.getLogger(__name__)

#: A killed service leaves its lock behind for this long. Two at work at once would do no harm: every step is a script
#: that does nothing the second time.
_LOCK_SECONDS = 3.0
_SWEEP_EVERY = 300.0


class Reconciler:
    """Looks for lost work in rounds.

    Args:
        redis: Async client.
        sync: Sync client of the same server, which rings doorbells.
        store: The job store.
        fleet: Models and workers.
        settings: How often to look, and how many workers an item may take down.
    """

    def __init__(self, redis: Any, sync: Any, store: JobStore, fleet: Fleet, settings: ServiceSettings) -> None:
        self._redis = redis
        self._every = settings.reconcile_seconds
        self._lost_shards = LostShards(redis)
        self._doorbells = Doorbells(redis, sync)
        self._poison = PoisonHunt(redis, store.payloads, self._doorbells, settings.max_attempts)
        self._first_worker = FirstWorker(redis, store, fleet, settings.declared)
        self._sweeper = Sweeper(redis, store.payloads)
        self._swept = time.monotonic()

    async def run(self) -> None:
        """Reconcile until cancelled. A fault in one round is logged; the next round tries again."""
        while wanted():
            await asyncio.sleep(self._every)
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
        for lost in await self._lost_shards.find():
            await self._poison.take_back(lost)
        await self._doorbells.ring_again()
        await self._first_worker.pin_waiting()
        if time.monotonic() - self._swept > _SWEEP_EVERY:
            self._swept = time.monotonic()
            await self._sweeper.sweep()
