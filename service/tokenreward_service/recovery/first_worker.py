"""Gives jobs for a declared model, which nobody had served when they were made, the set-up of its first worker.

Until then such a job waits in a queue of its own, where `/metrics` counts it, so that something else can start a worker
because of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from tokenreward.protocol import keys
from tokenreward.protocol.records import Corrupt, parse_members
from tokenreward.protocol.spill import BlobsAway
from tokenreward.schema import ModelInfo
from tokenreward_service.fleet import Fleet, awaited
from tokenreward_service.results.pinning_anew import pin_anew
from tokenreward_service.store.job_store import JobStore

log = logging.getLogger(__name__)


class FirstWorker:
    """Looks for declared models that are served for the first time.

    Args:
        redis: Async client.
        store: The job store.
        fleet: Models and workers.
        declared: Names of the declared models.
    """

    def __init__(self, redis: Any, store: JobStore, fleet: Fleet, declared: Sequence[str]) -> None:
        self._redis = redis
        self._store = store
        self._fleet = fleet
        self._waiting = {name: awaited(name).fingerprint_digest for name in declared}

    async def pin_waiting(self) -> None:
        """Pin the jobs that wait for a model's first worker to the newest set-up of it that is served."""
        for name, digest in self._waiting.items():
            if not await self._redis.zcard(keys.queued(digest)):
                continue
            served = [info for info in (await self._fleet.recent(name)).models if info.workers and info.name == name]
            if not served:
                continue
            for job_id in await self._jobs(digest):
                try:
                    await self._pin(job_id, served[0])
                except (Corrupt, BlobsAway) as error:  # the others must not wait for it
                    log.warning("job %s still waits for %s: %s", job_id, name, error)

    async def _pin(self, job_id: str, served: ModelInfo) -> None:
        job = await self._store.snapshots.get(job_id)
        if job is None or job.state.terminal or not await pin_anew(self._store, job, served):
            return
        log.info("job %s waited for %s and goes to %s", job_id, served.name, served.fingerprint_digest)

    async def _jobs(self, digest: str) -> list[str]:
        """The jobs whose shards wait under a digest, each once."""
        shards = await self._redis.zrange(keys.queued(digest), 0, -1)
        async with self._redis.pipeline(transaction=False) as pipe:
            for shard in shards:
                pipe.hget(keys.shard(shard.decode("utf-8", "replace")), "members")
            texts = await pipe.execute()
        found: dict[str, None] = {}
        for text in filter(None, texts):
            try:
                found |= dict.fromkeys(member.job for member in parse_members(text))
            except Corrupt as error:
                log.warning("%s", error)
        return list(found)
