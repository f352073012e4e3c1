"""Wakes those who wait for a job to change, by one Redis subscription for the whole process.

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
from tokenreward_service.cancellation import wanted

log = logging.getLogger(__name__)

T = TypeVar("T")

#: A wait looks for itself after this many seconds without a message.
LOOK_ANYWAY_SECONDS = 1.0


class Subscription:
    """Hears of every change of a job. redis: async client."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Listen until cancelled; a broken connection is made anew."""
        while wanted():
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(keys.EVENTS)
                    while wanted():
                        message = await pubsub.get_message(timeout=LOOK_ANYWAY_SECONDS)
                        if message is not None:
                            self._wake(message["data"].split(b" ")[0].decode("utf-8", "replace"))
            except (redis.exceptions.RedisError, OSError) as error:
                log.warning("event subscription broken, trying again: %s", error)
                await asyncio.sleep(1)

    @contextlib.contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job changes. Enter it before you look at the job."""
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
        """Wait for a job.

        Args:
            job_id: The job whose changes are worth a look.
            look: Reads what is waited for.
            good: Whether it is what was waited for.
            seconds: The longest wait.

        Returns:
            What `look` returned once it was good, or what it returned last when the time was over.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        with self.watching(job_id) as changed:
            while True:
                changed.clear()
                seen = await look()
                left = deadline - asyncio.get_running_loop().time()
                if good(seen) or left <= 0:
                    return seen
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), min(left, LOOK_ANYWAY_SECONDS))

    def _wake(self, job_id: str) -> None:
        for event in self._waiting.get(job_id, ()):
            event.set()
