"""Rings for shards that are queued again, and for queued shards that no doorbell announces any more."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import anyio.to_thread

from tokenreward.protocol import doorbell, keys
from tokenreward_service.recovery.forged_entries import drop_ghosts

log = logging.getLogger(__name__)

#: A shard that was queued less than this many seconds ago may be in the hands of a worker that is about to claim it.
_GRACE_SECONDS = 3.0


class Doorbells:
    """Rings doorbells.

    Args:
        redis: Async client.
        sync: Sync client of the same server, because RQ is synchronous.
    """

    def __init__(self, redis: Any, sync: Any) -> None:
        self._redis = redis
        self._sync = sync

    async def ring(self, fingerprint: str, shards: Sequence[str]) -> None:
        """Announce shards at the front of the queue of their fingerprint."""
        await anyio.to_thread.run_sync(self._ring, fingerprint, shards)

    async def ring_again(self) -> None:
        """Ring where there are fewer doorbells than shards that have waited for a while: a worker crashed with one."""
        for key in [key async for key in self._redis.scan_iter(match=keys.glob("queued"), count=1000)]:
            fingerprint = key.decode("utf-8", "replace").removeprefix(keys.QUEUED_PREFIX)
            seconds, micros = await self._redis.time()
            old = await self._redis.zrangebyscore(key, "-inf", seconds + micros / 1e6 - _GRACE_SECONDS)
            if not old:
                continue
            queue = doorbell.queue(fingerprint, self._sync).key
            missing = len(old) - await self._redis.llen(queue)
            if missing <= 0:
                continue
            bells = set(await self._redis.lrange(queue, 0, -1))
            unnamed = [name.decode("utf-8", "replace") for name in old if name not in bells]
            if silent := (await drop_ghosts(self._redis, key, unnamed))[:missing]:
                log.info("%d queued shards had no doorbell", len(silent))
                await self.ring(fingerprint, silent)

    def _ring(self, fingerprint: str, shards: Sequence[str]) -> None:
        with self._sync.pipeline(transaction=True) as pipe:
            doorbell.ring(fingerprint, shards, self._sync, pipe, front=True)
            pipe.execute()
