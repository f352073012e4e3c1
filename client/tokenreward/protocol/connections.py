"""The one place where clients of the job store are made from its address, be it a server's or that of Sentinels.

With Sentinels, each new connection asks them where the primary is, and a server that is no primary any more counts as
a broken connection. So after a failover the callers' own retries find the new primary. A primary that was changed over
while it lives goes on as one for ten seconds, until the Sentinels tell it; so they are also asked now and then while
there are connections, which are given up when they name another server.
"""

# mypy: disable-error-code="no-untyped-call"
# redis-py's Sentinels and their pools have no types.

from __future__ import annotations

import asyncio
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

#: A Sentinel that is away must not hold up the question to the next one, as redis-py's own retries would.
_ASKING: dict[str, Any] = {"socket_timeout": 2, "socket_connect_timeout": 2}
#: How often the Sentinels are asked whether the primary is still the primary.
_ASK_AGAIN_SECONDS = 1.0
#: How long those that count the replicas wait for the slowest Sentinel.
_COUNTING_SECONDS = 0.5
#: Where none answers, the share of the time that asking may take.
_MOST_TIME_ASKING = 0.1


class UnknownMaster(redis.ConnectionError):
    """The Sentinels answer, and none of them watches a store of that name."""


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
    sentinels: Any = _Sentinels(where.sentinels, sentinel_kwargs=asking)
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
    sentinels: Any = _AsyncSentinels(where.sentinels, sentinel_kwargs=asking)
    pool: Any = _AsyncSentinelPool(where.name, sentinels, **limits | options | where.options)
    return redis.asyncio.Redis.from_pool(pool)


class _Sentinels(redis.sentinel.Sentinel):
    """Sentinels whose errors say what to do. Those of redis-py do not tell a wrong name from a store that is down."""

    _found = False

    def discover_master(self, service_name: str) -> tuple[str, int]:
        try:
            found: tuple[str, int] = super().discover_master(service_name)
        except redis.sentinel.MasterNotFoundError:
            if self._found:  # so the name is right, and there is nothing to find out by asking all of them again
                raise redis.sentinel.MasterNotFoundError(_no_primary(service_name)) from None
            raise self._explained(service_name) from None
        self._found = True
        return found

    def _explained(self, name: str) -> redis.ConnectionError:
        watched: set[str] = set()
        answers, trouble = 0, ""
        for sentinel in self.sentinels:
            try:
                watched |= {str(watching) for watching in sentinel.sentinel_masters()}
                answers += 1
            except redis.RedisError as error:
                trouble = str(error)
        if not answers:
            return redis.ConnectionError(f"no Sentinel answers ({trouble}): start one, or correct their addresses")
        if name not in watched:
            there = f"they watch {', '.join(sorted(watched))}" if watched else "they watch none"
            return UnknownMaster(
                f"the Sentinels know no master name {name!r} ({there}): correct the name at the end of the Redis URL"
            )
        return redis.sentinel.MasterNotFoundError(_no_primary(name))


class _AsyncSentinels(redis.asyncio.sentinel.Sentinel):
    """As `_Sentinels`, for asyncio: by then a sync client has found the store once, so the name is right."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        try:
            found: tuple[str, int] = await super().discover_master(service_name)
        except redis.asyncio.sentinel.MasterNotFoundError:
            raise redis.asyncio.sentinel.MasterNotFoundError(_no_primary(service_name)) from None
        return found


def _no_primary(name: str) -> str:
    return f"no Sentinel names a primary of {name!r} now: wait for the failover, or start its servers"


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
        self._counted_until = 0.0
        self._count_of_live: int | None = None
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

    async def live_replicas(self) -> int | None:
        """The most replicas that a Sentinel sees alive, whether they follow the primary or not. None if none answers.

        The answer may be a second old.
        """
        if time.monotonic() >= self._counted_until:
            asked = [asyncio.create_task(self._count(one)) for one in self.sentinel_manager.sentinels]
            done, late = await asyncio.wait(asked, timeout=_COUNTING_SECONDS)
            for task in late:
                task.cancel()
            answers = [count for task in done if (count := task.result()) is not None]
            self._count_of_live = max(answers, default=None)
            self._counted_until = time.monotonic() + _ASK_AGAIN_SECONDS
        return self._count_of_live

    async def _count(self, sentinel: Any) -> int | None:
        try:
            return len(self.sentinel_manager.filter_slaves(await sentinel.sentinel_slaves(self.service_name)))
        except redis.RedisError:
            return None

    async def aclose(self) -> None:
        await super().aclose()
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()
