"""Removes spilled payloads whose job is gone: Redis expires a job's keys, but nothing expires its files."""

from __future__ import annotations

from typing import Any

from tokenreward.protocol import keys
from tokenreward_service.store.payloads import Payloads

_JOBS_AT_ONCE = 1000


class Sweeper:
    """Finds jobs that expired and removes what was spilled for them.

    Args:
        redis: Async client.
        payloads: Where the payloads are.
    """

    def __init__(self, redis: Any, payloads: Payloads) -> None:
        self._redis = redis
        self._payloads = payloads
        self._missed: set[str] = set()  # jobs that the last sweep found gone

    async def sweep(self) -> None:
        """Remove the payloads of jobs that were gone in this sweep and in the one before.

        One look does not tell, because a slice is written a moment before Redis knows its draft.
        """
        if not self._payloads.spilling:
            return
        names = [name.decode("utf-8", "replace") for name in await self._redis.smembers(keys.SPILLED)]
        there: list[int] = []
        for i in range(0, len(names), _JOBS_AT_ONCE):
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in names[i : i + _JOBS_AT_ONCE]:
                    pipe.exists(keys.job(name), keys.items(name))
                there += await pipe.execute()
        missed = {name for name, found in zip(names, there, strict=True) if not found}
        for name in missed & self._missed:
            if await self._payloads.forget(name):
                await self._redis.srem(keys.SPILLED, name)
        self._missed = missed
