"""The one place where clients of the job store are made from its address, be it a server's or that of Sentinels.

With Sentinels, each new connection asks them where the primary is, and a server that is no primary any more counts as
a broken connection. So after a failover the callers' own retries find the new primary. A primary that was changed over
while it lives goes on as one for ten seconds, until the Sentinels tell it; so they are also asked now and then while
there are connections, which are given up when they name another server.
"""

# mypy: disable-error-code="no-untyped-call"
# redis-py's Sentinels and their pools have no types.

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from tokenreward.protocol.redis_url import parse_sentinel_url, uses_sentinel
from tokenreward.protocol.sentinels import Address, AsyncSentinels, Sentinels

#: Where most Sentinels are away, callers wait for no more than this, and not for redis-py's own retries.
_ASKING: dict[str, Any] = {"socket_timeout": 2, "socket_connect_timeout": 2}
#: How often the Sentinels are asked whether the primary is still the primary.
_ASK_AGAIN_SECONDS = 1.0
#: Where none answers, the share of the time that asking may take.
_MOST_TIME_ASKING = 0.1


def connect(url: str, *, max_connections: int = 10, wait_seconds: float = 20, **options: Any) -> redis.Redis:
    """A client of the store. It connects when it is first used, and closes its connections when it is closed.

    Args:
        url: The store's address.
        max_connections: How many connections it may have.
        wait_seconds: How long a caller waits for one of them to be free.
        options: redis-py's options for connections. What the address says goes before them.
    """
    limits = {"max_connections": max_connections, "timeout": wait_seconds}
    if not uses_sentinel(url):
        return redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(url, **limits, **options))
    where = parse_sentinel_url(url)
    asking = where.sentinel_options | _ASKING | {"retry": Retry(NoBackoff(), 0)}
    sentinels: Any = Sentinels(where.sentinels, sentinel_kwargs=asking)
    pool: Any = _SentinelPool(where.name, sentinels, **limits | options | where.options)
    return redis.Redis.from_pool(pool)


def connect_async(
    url: str, *, max_connections: int = 10, wait_seconds: float = 20, **options: Any
) -> redis.asyncio.Redis:
    """As `connect`, for asyncio."""
    limits = {"max_connections": max_connections, "timeout": wait_seconds}
    if not uses_sentinel(url):
        return redis.asyncio.Redis.from_pool(redis.asyncio.BlockingConnectionPool.from_url(url, **limits, **options))
    where = parse_sentinel_url(url)
    asking = where.sentinel_options | _ASKING | {"retry": AsyncRetry(NoBackoff(), 0)}
    sentinels: Any = AsyncSentinels(where.sentinels, sentinel_kwargs=asking)
    pool: Any = _AsyncSentinelPool(where.name, sentinels, **limits | options | where.options)
    return redis.asyncio.Redis.from_pool(pool)


class _Asking:
    """When the Sentinels are asked again whether the primary is still the primary."""

    def __init__(self) -> None:
        self._due = 0.0

    def due(self) -> bool:
        """Whether to ask now. One caller does; the others go on."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + 60  # or when the question ends
        return True

    @contextlib.contextmanager
    def question(self) -> Iterator[None]:
        """A question that may stay without an answer: the connections are as good as they were."""
        started = time.monotonic()
        wait = _ASK_AGAIN_SECONDS
        try:
            yield
        except redis.RedisError:
            wait = max(wait, (time.monotonic() - started) / _MOST_TIME_ASKING)
        finally:
            self._due = time.monotonic() + wait


class _SentinelPool(redis.sentinel.SentinelConnectionPool, redis.BlockingConnectionPool):
    """Connections to the primary; whoever finds none free waits for one, as with a server's own address."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._asking = _Asking()
        super().__init__(*args, **options)

    def get_connection(self, *args: Any, **options: Any) -> Any:
        if self._asking.due():
            with self._asking.question():
                self.get_master_address()  # gives up the idle connections if it has changed
        return super().get_connection(*args, **options)

    def close(self) -> None:
        super().close()
        self.sentinel_manager.close()


class _AsyncSentinelPool(redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool):
    """As `_SentinelPool`, for asyncio."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._asking = _Asking()
        super().__init__(*args, **options)

    async def get_connection(self, *args: Any, **options: Any) -> Any:
        if self._asking.due():
            with self._asking.question():
                await self.get_master_address()
        return await super().get_connection(*args, **options)

    async def release(self, connection: Any) -> None:
        try:
            if self.master_address != (
                connection.host,
                connection.port,
            ):  # redis-py's sync pool looks at this by itself
                await connection.disconnect()
        finally:
            await super().release(connection)

    async def replicas(self) -> frozenset[Address]:
        """Which replicas may take over, so that they have to have what must not be lost.

        It is what the Sentinels said within the last second. Connections are to the primary that they named then.

        Raises:
            redis.ConnectionError: They name no primary.
        """
        decided = await self.sentinel_manager.decided(self.service_name, _ASK_AGAIN_SECONDS)
        if decided.primary != self.master_address:
            self.master_address = decided.primary
            await self.disconnect(inuse_connections=False)
        found: frozenset[Address] = decided.replicas
        return found

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()
