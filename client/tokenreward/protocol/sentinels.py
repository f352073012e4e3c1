"""Where a store's primary is and which replicas it has, by the Sentinels that watch it.

All of them are asked at once. Once most have answered, the newest configuration counts, and whoever is cut off or slow
holds up nobody. For two seconds, only the Sentinel that led a change-over may know of it.
"""

# mypy: disable-error-code="no-untyped-call"
# redis-py's Sentinels have no types.

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio.sentinel
import redis.sentinel

Address = tuple[str, int]
#: For how long a former primary that some Sentinels still name is out of date. They hear of the new one in two seconds.
_REMEMBERED_SECONDS = 10.0
#: What one Sentinel answered: its masters, where it sends clients to, and its replicas; or why it did not.
_Told = tuple[Mapping[str, Any], tuple[Any, int] | None, Sequence[Mapping[str, Any]]] | Exception


class UnknownMaster(redis.ConnectionError):
    """The Sentinels answer, and none of them watches a store of that name."""


@dataclass(frozen=True, slots=True)
class View:
    """What one Sentinel says of a store.

    Attributes:
        epoch: The number of the change-over that made its primary the primary.
        primary: Where it sends clients to; None if it sees that server down.
        alive: The replicas that it sees alive, whether they follow the primary or not.
        known: All replicas that it knows of.
        sentinels: How many Sentinels there are, by its count.
    """

    epoch: int
    primary: Address | None
    alive: frozenset[Address]
    known: frozenset[Address]
    sentinels: int

    @classmethod
    def of(
        cls, state: Mapping[str, Any], address: tuple[Any, int] | None, replicas: Sequence[Mapping[str, Any]]
    ) -> View:
        """A view by what redis-py makes of the answers.

        Args:
            state: What `SENTINEL MASTERS` says of the store. While a change-over is under way, it lists the old primary
                until every replica follows the new one, which may be long.
            address: What `SENTINEL GET-MASTER-ADDR-BY-NAME` says, which is the new primary as soon as there is one.
            replicas: What `SENTINEL SLAVES` says.
        """
        primary = None
        if address is not None:
            host, port = address
            primary = (host.decode() if isinstance(host, bytes) else str(host), port)
            if primary == (state["ip"], state["port"]) and _down(state):
                primary = None
        places = {(one["ip"], one["port"]): _down(one) for one in replicas}
        alive = frozenset(place for place, down in places.items() if not down)
        return cls(state["config-epoch"], primary, alive, frozenset(places), state["num-other-sentinels"] + 1)


def _down(state: Mapping[str, Any]) -> bool:
    return bool(state["is_sdown"] or state["is_odown"])


@dataclass(frozen=True, slots=True)
class Decided:
    """What the Sentinels said together.

    Attributes:
        primary: Where the primary is.
        replicas: Those that have to have what must not be lost, because they may take over: the ones that are alive; or
            all, while only few Sentinels answer. Those may be on the wrong side of a split network, and what they see
            down may be taking over on the other one.
    """

    primary: Address
    replicas: frozenset[Address]


class Memory:
    """What the Sentinels said last. The others hear of a change-over seconds after the one that leads it."""

    def __init__(self) -> None:
        self.found = False
        self._epoch = 0
        self._until = 0.0

    @property
    def epoch(self) -> int:
        """Views of an earlier epoch are out of date. Sentinels that were set up anew begin at 0, so it is forgotten."""
        return self._epoch if time.monotonic() < self._until else 0

    def note(self, epoch: int) -> None:
        """A primary of that epoch was named."""
        self.found = True
        self._epoch, self._until = epoch, time.monotonic() + _REMEMBERED_SECONDS


class Answers:
    """What the Sentinels answered to one question.

    Args:
        name: The master name of the store.
        asked: How many are asked.
        memory: What they said before.
    """

    def __init__(self, name: str, asked: int, memory: Memory) -> None:
        self._name = name
        self._asked = asked
        self._memory = memory
        self._views: list[View] = []
        self._watched: set[str] = set()
        self._answered = False
        self._trouble = ""

    def take(self, told: _Told) -> bool:
        """Add what one of them said. Returns whether enough have answered, so that no other needs to be waited for."""
        if isinstance(told, (redis.RedisError, OSError)):
            self._trouble = str(told)
        elif isinstance(told, Exception):
            raise told
        else:
            masters, address, replicas = told
            self._answered = True
            self._watched |= {str(name) for name in masters}
            if self._name in masters:
                self._views.append(View.of(masters[self._name], address, replicas))
        return self._enough

    @property
    def _enough(self) -> bool:
        """Whether most have answered: of those that there are, and of those that are asked.

        One that was set up anew knows no others for a while, and must not decide alone.
        """
        sentinels = max((view.sentinels for view in self._views), default=0)
        return 2 * len(self._views) > max(sentinels, self._asked)

    def decided(self) -> Decided:
        """What follows from the answers.

        Raises:
            redis.ConnectionError: They name no primary. redis-py's own error does not tell why.
        """
        epoch = max([self._memory.epoch, *(view.epoch for view in self._views)])
        newest = [view for view in self._views if view.epoch == epoch]
        primary = next((view.primary for view in newest if view.primary is not None), None)
        if primary is None:
            raise self._no_primary()
        self._memory.note(epoch)
        replicas = [view.alive for view in newest] if self._enough else [view.known for view in self._views]
        return Decided(primary, frozenset().union(*replicas) - {primary})

    def _no_primary(self) -> redis.ConnectionError:
        if not self._answered:
            return redis.sentinel.MasterNotFoundError(
                f"no Sentinel answers ({self._trouble}): start one, or correct their addresses"
            )
        if not self._views and not self._memory.found:
            there = f"they watch {', '.join(sorted(self._watched))}" if self._watched else "they watch none"
            return UnknownMaster(
                f"the Sentinels know no master name {self._name!r} ({there}): correct the name at the end of the Redis"
                " URL"
            )
        return redis.sentinel.MasterNotFoundError(
            f"no Sentinel names a primary of {self._name!r} now: wait for the failover, or start its servers"
        )


class Sentinels(redis.sentinel.Sentinel):
    """redis-py's Sentinels, asked all at once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._memory = Memory()

    def discover_master(self, service_name: str) -> Address:
        told: queue.SimpleQueue[_Told] = queue.SimpleQueue()
        for sentinel in self.sentinels:
            threading.Thread(target=_ask, args=(sentinel, service_name, told), daemon=True).start()
        answers = Answers(service_name, len(self.sentinels), self._memory)
        for _ in self.sentinels:
            if answers.take(told.get()):
                break
        return answers.decided().primary


def _ask(sentinel: Any, name: str, told: queue.SimpleQueue[_Told]) -> None:
    try:
        before = sentinel.sentinel_masters()
        if name not in before:
            told.put((before, None, []))
            return
        address = sentinel.sentinel_get_master_addr_by_name(name)
        replicas = sentinel.sentinel_slaves(name)
        told.put(_at_once(before, address, replicas, sentinel.sentinel_masters(), name))
    except Exception as error:  # whatever it is, somebody waits for it
        told.put(error)


def _at_once(before: Any, address: Any, replicas: Any, after: Any, name: str) -> _Told:
    """What a Sentinel told in several answers, if it stayed with one configuration."""
    configuration = ("config-epoch", "ip", "port")
    if name not in after or any(before[name][part] != after[name][part] for part in configuration):
        return redis.ConnectionError("a Sentinel changed over while it was asked")
    return before, address, replicas


class AsyncSentinels(redis.asyncio.sentinel.Sentinel):
    """As `Sentinels`, for asyncio. Callers that ask at the same time share the answers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._memory = Memory()
        self._question: asyncio.Task[Answers] | None = None
        self._asked: set[asyncio.Task[_Told]] = set()
        self._answers: Answers | None = None
        self._answered = 0.0

    async def discover_master(self, service_name: str) -> Address:
        return (await self._ask_all(service_name)).decided().primary

    async def decided(self, service_name: str, most_seconds: float) -> Decided:
        """What they said together, which may be so old.

        Raises:
            redis.ConnectionError: They name no primary.
        """
        answers = self._answers
        if answers is None or time.monotonic() - self._answered > most_seconds:
            answers = await self._ask_all(service_name)
        return answers.decided()

    async def _ask_all(self, name: str) -> Answers:
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._gathered(name))
        return await asyncio.shield(self._question)  # it is every caller's, and callers may go away

    async def _gathered(self, name: str) -> Answers:
        answers = Answers(name, len(self.sentinels), self._memory)
        asked = [asyncio.create_task(self._ask(sentinel, name)) for sentinel in self.sentinels]
        for task in asked:  # one that is slow is not cut off: its connection is there the next time
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)
        for told in asyncio.as_completed(asked):
            if answers.take(await told):
                break
        self._answers, self._answered = answers, time.monotonic()
        return answers

    async def _ask(self, sentinel: Any, name: str) -> _Told:
        try:
            before = await sentinel.sentinel_masters()
            if name not in before:
                return before, None, []
            address = await sentinel.sentinel_get_master_addr_by_name(name)
            replicas = await sentinel.sentinel_slaves(name)
            return _at_once(before, address, replicas, await sentinel.sentinel_masters(), name)
        except redis.RedisError as error:
            return error

    async def aclose(self) -> None:
        for task in [*self._asked, *([self._question] if self._question else [])]:
            task.cancel()
        await super().aclose()
