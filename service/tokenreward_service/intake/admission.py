"""Back-pressure: a request for work is turned away (429, with when to come back) before anything of it is read.

Three things can be short: a place in the queue, memory in the job store, and this process's own memory and attention.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tokenreward.protocol import keys
from tokenreward_service.problems import ProblemError
from tokenreward_service.settings import ServiceSettings

_FRESH_SECONDS = 1.0


class Admission:
    """One request that is being taken in, and the memory its body takes here."""

    def __init__(self, load: AdmissionControl) -> None:
        self._load = load
        self._held = 0

    def hold(self, size: int) -> None:
        """Account for `size` more bytes of a body that is kept in memory. Raises ProblemError (429)."""
        if self._load.held + size > self._load.settings.max_held_bytes:
            raise _busy("Other requests' bodies fill the memory; send NDJSON, which is not kept, or come back.", 2)
        self._held += size
        self._load.held += size

    def release(self) -> None:
        self._load.held -= self._held


class AdmissionControl:
    """How much is going on. redis: async client."""

    def __init__(self, redis: Any, settings: ServiceSettings) -> None:
        self.settings = settings
        #: bytes of bodies in memory
        self.held = 0
        self._redis = redis
        self._open: Counter[str] = Counter()
        self._looked = -_FRESH_SECONDS
        self._queued = 0
        self._memory = 0.0

    async def check(self) -> None:
        """Raises ProblemError (429) if more work cannot be kept."""
        if time.monotonic() - self._looked >= _FRESH_SECONDS:
            self._looked = time.monotonic()
            self._queued = sum((await self.queued()).values())
            self._memory = await self._memory_share()
        if self._queued >= self.settings.max_queued_shards:
            raise _busy(f"{self._queued} shards are waiting for a worker.", 15)
        if self._memory >= self.settings.max_store_share:
            raise _busy("The job store is nearly full; delete jobs, or come back when some have expired.", 60)

    @contextlib.contextmanager
    def admit(self, owner: str) -> Iterator[Admission]:
        """A place among the open requests of `owner`. Raises ProblemError (429)."""
        if self._open[owner] >= self.settings.max_requests_per_key:
            raise _busy(f"{self._open[owner]} requests with this key are under way.", 1)
        self._open[owner] += 1
        admission = Admission(self)
        try:
            yield admission
        finally:
            admission.release()
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]

    async def queued(self) -> dict[str, int]:
        """Shards that wait, by fingerprint."""
        names = [name.decode("utf-8", "replace") for name in await self._redis.hkeys(keys.MODELS)]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.zcard(keys.queued(name))
            return dict(zip(names, await pipe.execute(), strict=True))

    async def _memory_share(self) -> float:
        """Share of the memory that the job store may use; 0 where it has no limit."""
        memory = await self._redis.info("memory")
        most = self.settings.max_store_bytes or int(memory.get("maxmemory") or 0)
        return float(memory["used_memory"]) / most if most else 0.0


def _busy(detail: str, seconds: int) -> ProblemError:
    return ProblemError(429, "Too busy", detail, headers={"Retry-After": str(seconds)})
