"""Finds claimed shards that are lost: their lease ended, or their worker has no connection to Redis any more.

A lease ends when the engine makes no progress, or when its host is gone. A killed worker is noticed sooner, because
its connections carry its name and vanish with it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from tokenreward.protocol import keys
from tokenreward.protocol.worker_records import connection_name
from tokenreward_service.recovery.forged_entries import drop_ghosts

log = logging.getLogger(__name__)

#: How long workers have to come to another server. One that died without a word holds up theirs for half a minute.
_FOLLOWING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LostShard:
    """A claimed shard that has to be taken back.

    Attributes:
        shard: Its id.
        worker: The id of the worker that holds it.
    """

    shard: str
    worker: str


class LostShards:
    """Looks for lost shards, round after round. redis: async client."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._suspects: set[str] = set()
        self._server: str | None = None
        self._settled = 0.0

    async def find(self) -> list[LostShard]:
        """Claimed shards whose lease ended, or whose worker was without a connection in this round and the last."""
        claimed = await self._redis.zrange(keys.CLAIMED, 0, -1, withscores=True)
        if not claimed:
            self._suspects.clear()
            return []
        seconds, _ = await self._redis.time()
        deadlines = {name.decode("utf-8", "replace"): deadline for name, deadline in claimed}
        shards = await drop_ghosts(self._redis, keys.CLAIMED, list(deadlines))
        async with self._redis.pipeline(transaction=False) as pipe:
            for shard in shards:
                pipe.hget(keys.shard(shard), "worker")
            workers = [(worker or b"").decode("utf-8", "replace") for worker in await pipe.execute()]
        gone = await self._gone(set(workers))
        lost = []
        for shard, worker in zip(shards, workers, strict=True):
            ids = {"shard": shard, "worker": worker}
            if deadlines[shard] < seconds:
                log.warning("shard %s: the lease of worker %s ended", shard, worker, extra=ids)
            elif worker in gone:
                log.warning("shard %s: worker %s is gone", shard, worker, extra=ids)
            else:
                continue
            lost.append(LostShard(shard, worker))
        return lost

    async def _gone(self, workers: set[str]) -> set[str]:
        """Workers without any connection in two rounds running; in one round alone it may be a reconnect.

        None for a while after the store restarted or changed over: workers follow when they next use a connection.
        """
        server = (await self._redis.info("server"))["run_id"]
        if self._server not in (None, server):
            self._settled = time.monotonic() + _FOLLOWING_SECONDS
        self._server = server
        connected = {client.get("name") for client in await self._redis.client_list()}
        missing = {worker for worker in workers if connection_name(worker) not in connected}
        gone = missing & self._suspects
        self._suspects = missing
        return gone if time.monotonic() >= self._settled else set()
