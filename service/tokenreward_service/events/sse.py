"""A job's progress as server-sent events: each is a whole snapshot under the job's version, nothing is replayed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import redis.exceptions

from tokenreward.schema import Waiting
from tokenreward_service.events.subscription import LOOK_ANYWAY_SECONDS, Subscription
from tokenreward_service.store.snapshots import Snapshots

log = logging.getLogger(__name__)

#: Changes closer together than this are one event.
_APART_SECONDS = 0.2
#: A comment this often keeps proxies from closing a quiet connection, and notices a reader who is gone.
_BEAT_SECONDS = 15.0


async def job_events(
    snapshots: Snapshots, subscription: Subscription, job_id: str, owner: str | None, seen: str | None
) -> AsyncIterator[bytes]:
    """Follow a job until it is over or gone.

    Args:
        snapshots: Where to look.
        subscription: Says when to look.
        job_id: The job.
        owner: Whose job it has to be; None for anybody's.
        seen: The version that the reader has already.

    Yields:
        Events of the `text/event-stream` format, one a change.
    """
    loop = asyncio.get_running_loop()
    told: Waiting | None = None
    quiet_since = loop.time()
    yield b"retry: 2000\n\n"
    with subscription.watching(job_id) as changed:
        while True:
            changed.clear()
            try:
                job = await snapshots.get(job_id, owner)
            except redis.exceptions.RedisError as error:  # the reader comes back by itself
                log.warning("events of job %s broken off: %s", job_id, error)
                return
            if job is None:
                yield b"event: gone\ndata: {}\n\n"
                return
            # Workers that come and go change what a job waits for, and not its version.
            if str(job.version) != seen or job.waiting != told:
                seen, told = str(job.version), job.waiting
                yield f"id: {seen}\nevent: job\ndata: {job.model_dump_json()}\n\n".encode()
                quiet_since = loop.time()
            elif loop.time() - quiet_since > _BEAT_SECONDS:
                yield b": still here\n\n"
                quiet_since = loop.time()
            if job.state.terminal:
                return
            await asyncio.sleep(_APART_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), LOOK_ANYWAY_SECONDS)
