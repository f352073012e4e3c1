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


class _Answers:
    """What the Sentinels answer, one after another, to the question where the primary is.

    Args:
        name: The master name.
        known: Whether they have named it before, so that the name is right.
    """

    def __init__(self, name: str, known: bool) -> None:
        self._name = name
        self._known = known
        self._watched: set[str] = set()
        self._answered = False
        self._trouble = ""

    def primary(
        self, sentinels: Any, masters: dict[str, dict[str, Any]], address: tuple[Any, int] | None
    ) -> tuple[str, int] | None:
        """The primary by one Sentinel's answers, or None if it names none.

        While the replicas of a new primary copy it, which may be long, the Sentinel that leads the change-over lists
        the old primary, but gives the new one's address.

        Args:
            sentinels: redis-py's, which know when a primary is down.
            masters: What the Sentinel watches.
            address: Which server it sends clients to.
        """
        self._answered = True
        self._watched |= {str(watching) for watching in masters}
        state = masters.get(self._name)
        if state is None or address is None:
            return None
        host = address[0].decode() if isinstance(address[0], bytes) else address[0]
        found = (host, address[1])
        if found == (state["ip"], state["port"]) and not sentinels.check_master_state(state, self._name):
            return None
        return found

    def failed(self, error: redis.RedisError) -> None:
        """A Sentinel did not answer."""
        self._trouble = str(error)

    def error(self) -> redis.ConnectionError:
        """What to raise if none of them names a primary. redis-py's own error does not tell why."""
        if not self._answered:
            return redis.sentinel.MasterNotFoundError(
                f"no Sentinel answers ({self._trouble}): start one, or correct their addresses"
            )
        if not self._known and self._name not in self._watched:
            there = f"they watch {', '.join(sorted(self._watched))}" if self._watched else "they watch none"
            return UnknownMaster(
                f"the Sentinels know no master name {self._name!r} ({there}): correct the name at the end of the Redis"
                " URL"
            )
        return redis.sentinel.MasterNotFoundError(
            f"no Sentinel names a primary of {self._name!r} now: wait for the failover, or start its servers"
        )


class _Sentinels(redis.sentinel.Sentinel):
    """Sentinels that name the new primary as soon as one of them knows it, and whose errors say what to do."""

    _found = False

    def discover_master(self, service_name: str) -> tuple[str, int]:
        answers = _Answers(service_name, self._found)
        for sentinel in self.sentinels:
            try:
                masters: Any = sentinel.sentinel_masters()
                address: Any = sentinel.sentinel_get_master_addr_by_name(service_name)
            except (redis.ConnectionError, redis.TimeoutError) as error:
                answers.failed(error)
                continue
            if (found := answers.primary(self, masters, address)) is not None:
                self.sentinels = _first(sentinel, self.sentinels)
                self._found = True
                return found
        raise answers.error()


class _AsyncSentinels(redis.asyncio.sentinel.Sentinel):
    """As `_Sentinels`, for asyncio."""

    _found = False

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        answers = _Answers(service_name, self._found)
        for sentinel in self.sentinels:
            try:
                masters: Any = await sentinel.sentinel_masters()
                address: Any = await sentinel.sentinel_get_master_addr_by_name(service_name)
            except (redis.ConnectionError, redis.TimeoutError) as error:
                answers.failed(error)
                continue
            if (found := answers.primary(self, masters, address)) is not None:
                self.sentinels = _first(sentinel, self.sentinels)
                self._found = True
                return found
        raise answers.error()


def _first(sentinel: Any, sentinels: list[Any]) -> list[Any]:
    """The Sentinels with one of them in front, which is asked first from now on.

    A new list, as callers go through the old one at the same time; redis-py swaps two places, so that one may be lost.
    """
    return [sentinel, *(other for other in sentinels if other is not sentinel)]


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
        self._counting: asyncio.Task[None] | None = None
        self._live: int | None = None
        self._trouble = "they do not answer in time"
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

    async def live_replicas(self) -> int:
        """The most replicas that a Sentinel sees alive, whether they follow the primary or not.

        The answer may be a second old. While most Sentinels do not answer, it is no less than what was last known:
        those that do may be on the wrong side of a split network.

        Raises:
            redis.ConnectionError: It was never known.
        """
        if time.monotonic() >= self._counted_until:
            if self._counting is None or self._counting.done():
                self._counting = asyncio.create_task(self._count_live())
            await asyncio.shield(self._counting)  # it is every caller's, and callers may go away
        if self._live is None:
            raise redis.ConnectionError(f"most Sentinels do not say which replicas are alive: {self._trouble}")
        return self._live

    async def _count_live(self) -> None:
        asked = [asyncio.create_task(self._count(sentinel)) for sentinel in self.sentinel_manager.sentinels]
        try:
            done, _ = await asyncio.wait(asked, timeout=_COUNTING_SECONDS)
        finally:
            for task in asked:
                task.cancel()
        answers = [count for task in done if (count := task.result()) is not None]
        if 2 * len(answers) > len(asked):
            self._live = max(answers)
        elif self._live is not None:
            self._live = max([*answers, self._live])
        self._counted_until = time.monotonic() + _ASK_AGAIN_SECONDS

    async def _count(self, sentinel: Any) -> int | None:
        try:
            return len(self.sentinel_manager.filter_slaves(await sentinel.sentinel_slaves(self.service_name)))
        except redis.RedisError as error:
            self._trouble = str(error)
            return None

    async def aclose(self) -> None:
        if self._counting is not None:
            self._counting.cancel()
        await super().aclose()
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()
