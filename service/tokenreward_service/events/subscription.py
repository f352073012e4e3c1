"""Wakes whoever waits for a job to change: one Redis subscription for the whole process.

A lost message costs a second at most: every wait also looks for itself now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import redis.exceptions

from tokenreward.protocol import keys

log = logging.getLogger(__name__)

T = TypeVar("T")
_LOOK_ANYWAY = 1.0


class Watcher:
    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Listen until cancelled; a broken connection is made anew."""
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(keys.EVENTS)
                    while True:
                        message = await pubsub.get_message(timeout=_LOOK_ANYWAY)
                        if message is not None:
                            self._wake(message["data"].split(b" ")[0].decode("utf-8", "replace"))
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("event subscription broken, trying again: %s", error)
                await asyncio.sleep(1)

    def _wake(self, job_id: str) -> None:
        for event in self._waiting.get(job_id, ()):
            event.set()

    @contextlib.contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job changes. Enter it before looking at the job."""
        event = asyncio.Event()
        self._waiting[job_id].add(event)
        try:
            yield event
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def until(
        self, job_id: str, look: Callable[[], Awaitable[T]], good: Callable[[T], bool], seconds: float
    ) -> T:
        """What `look` sees once it is `good`, or what it saw last when `seconds` are over."""
        deadline = asyncio.get_running_loop().time() + seconds
        with self.watching(job_id) as changed:
            while True:
                changed.clear()
                seen = await look()
                left = deadline - asyncio.get_running_loop().time()
                if good(seen) or left <= 0:
                    return seen
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left, _LOOK_ANYWAY))
