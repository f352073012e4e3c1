"""Back-pressure: a request for work is turned away (429, with when to come back) before anything of it is read.

Three things can be short: a place in the queue, memory in the job store, and this process's own memory and attention.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tokenreward.protocol import keys
from tokenreward.protocol.memory import read_memory_async
from tokenreward_service.fleet import awaited
from tokenreward_service.problems import ProblemError
from tokenreward_service.settings import ServiceSettings

_FRESH_SECONDS = 1.0


class Admission:
    """One request that is being taken in, and the memory that its body takes here."""

    def __init__(self, control: AdmissionControl) -> None:
        self._control = control
        self._held = 0

    def hold(self, size: int) -> None:
        """Account for `size` more bytes of a body that is kept in memory.

        Raises:
            ProblemError: 429, if the bodies of all requests together would take too much.
        """
        if self._control.held + size > self._control.settings.max_held_bytes:
            raise _busy("Other requests' bodies fill the memory; send NDJSON, which is not kept, or come back.", 2)
        self._held += size
        self._control.held += size

    def release(self) -> None:
        """Give back everything that was held."""
        self._control.held -= self._held


class AdmissionControl:
    """Decides whether a request for work is taken in.

    Args:
        redis: Async client.
        settings: The limits.

    Attributes:
        held: Bytes of request bodies in memory.
    """

    def __init__(self, redis: Any, settings: ServiceSettings) -> None:
        self.settings = settings
        self.held = 0
        self._redis = redis
        self._open: Counter[str] = Counter()
        self._looked = -_FRESH_SECONDS
        self._queued = 0
        self._memory = 0.0

    async def check(self) -> None:
        """Check that more work can be kept.

        Raises:
            ProblemError: 429, if too many shards wait or the job store is nearly full.
        """
        if time.monotonic() - self._looked >= _FRESH_SECONDS:
            self._looked = time.monotonic()
            self._queued = sum((await self._queue_lengths()).values())
            self._memory = await self._memory_share()
        if self._queued >= self.settings.max_queued_shards:
            raise _busy(f"{self._queued} shards are waiting for a worker.", 15)
        if self._memory >= self.settings.max_store_share:
            raise _busy("The job store is nearly full; delete jobs, or come back when some have expired.", 60)

    @contextlib.contextmanager
    def admit(self, owner: str) -> Iterator[Admission]:
        """A place among the open requests of `owner`, for as long as the context lasts.

        Raises:
            ProblemError: 429, if the owner has as many open requests as a key may have.
        """
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

    async def _queue_lengths(self) -> dict[str, int]:
        """How many shards wait, by fingerprint."""
        names = [name.decode("utf-8", "replace") for name in await self._redis.hkeys(keys.MODELS)]
        names += [awaited(name).fingerprint_digest for name in self.settings.declared]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.zcard(keys.queued(name))
            return dict(zip(names, await pipe.execute(), strict=True))

    async def _memory_share(self) -> float:
        """How full the store is by this service's limit, which is made known to the workers."""
        memory = await read_memory_async(self._redis)
        known, ours = memory.store_limit, self.settings.max_store_bytes
        share = replace(memory, store_limit=ours).share
        # A full store takes no writes. Its workers learn of the limit when there is room for new work again.
        if known != ours and share < self.settings.max_store_share:
            await self._redis.set(keys.STORE_LIMIT, ours)
        return share


def _busy(detail: str, seconds: int) -> ProblemError:
    return ProblemError(429, "Too busy", detail, headers={"Retry-After": str(seconds)})
