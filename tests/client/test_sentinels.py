"""What Sentinels say, and what is made of it: they are asked, may be away for a while, and may disagree."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis

from tests.support.fake_sentinel import FakeSentinel, sentinels
from tokenreward.protocol.connections import UnknownMaster, connect, connect_async

OLD, NEW = ("127.0.0.1", 1), ("127.0.0.1", 2)


def three(replicas: int = 0) -> list[FakeSentinel]:
    return [FakeSentinel("rewards", OLD, replicas) for _ in range(3)]


def sync_primary(url: str) -> tuple[str, int]:
    with connect(url) as client:
        found: tuple[str, int] = client.connection_pool.get_master_address()  # type: ignore[attr-defined]
    return found


def async_primary(url: str) -> tuple[str, int]:
    async def ask() -> Any:
        async with connect_async(url) as client:
            return await client.connection_pool.get_master_address()  # type: ignore[attr-defined]

    found: tuple[str, int] = asyncio.run(ask())
    return found


def with_pool(url: str, what: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Run something with an async client's pool."""

    async def run() -> None:
        async with connect_async(url) as client:
            await what(client.connection_pool)

    asyncio.run(run())


both = pytest.mark.parametrize("ask", [sync_primary, async_primary], ids=["sync", "async"])


@both
def test_the_new_primary_is_taken_as_soon_as_a_sentinel_sends_clients_there(ask: Callable[..., Any]) -> None:
    leader, *others = three()
    leader.sent_to = NEW  # it lists the old one until all replicas have copied the new one
    with sentinels(leader, *others) as url:
        assert ask(url) == NEW
        leader.flags = "master,s_down"
        assert ask(url) == NEW


@both
def test_a_primary_that_is_down_is_not_named_while_nobody_took_over(ask: Callable[..., Any]) -> None:
    first, second, third = three()
    first.flags = second.flags = third.flags = "master,o_down"
    with sentinels(first, second, third) as url:
        with pytest.raises(redis.ConnectionError, match="no Sentinel names a primary of 'rewards' now"):
            ask(url)
        third.flags = "master"
        assert ask(url) == OLD


@both
def test_a_wrong_name_is_told_from_sentinels_that_are_away(ask: Callable[..., Any]) -> None:
    first, *others = three()
    with sentinels(first, *others) as url, pytest.raises(UnknownMaster, match=r"no master .+ \(they watch rewards\)"):
        ask(url.removesuffix("s"))
    with pytest.raises(redis.ConnectionError, match=r"no Sentinel answers \(.+\): start one"):
        ask(url)


def test_a_sentinel_that_was_away_is_asked_again_whoever_asked_meanwhile() -> None:
    watching = three()

    async def scenario(pool: Any) -> None:
        for away in watching:
            away.stop()
            await asyncio.gather(*(pool.get_master_address() for _ in range(4)))
            away.start()
        ports = [one.connection_pool.connection_kwargs["port"] for one in pool.sentinel_manager.sentinels]
        assert sorted(ports) == sorted(one.port for one in watching)

    with sentinels(*watching) as url:
        with_pool(url, scenario)


def test_sentinels_that_are_all_away_are_said_so_although_they_answered_before() -> None:
    watching = three()
    with sentinels(*watching) as url, connect(url) as client:
        pool: Any = client.connection_pool
        assert pool.get_master_address() == OLD
        for one in watching:
            one.stop()
        with pytest.raises(redis.ConnectionError, match="no Sentinel answers"):
            pool.get_master_address()
        for one in watching:
            one.start()
        assert pool.get_master_address() == OLD


def test_replicas_are_counted_once_however_many_ask_and_one_that_goes_away_stops_nobody() -> None:
    watching = three(replicas=2)

    async def scenario(pool: Any) -> None:
        asked = [asyncio.create_task(pool.live_replicas()) for _ in range(200)]
        await asyncio.sleep(0)
        asked[0].cancel()
        assert set(await asyncio.gather(*asked[1:])) == {2}

    with sentinels(*watching) as url:
        with_pool(url, scenario)
        assert [one.asked["SLAVES"] for one in watching] == [1, 1, 1]


def test_the_side_of_a_split_network_that_has_few_sentinels_counts_the_replicas_it_knew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tokenreward.protocol.connections._ASK_AGAIN_SECONDS", 0)
    watching = three(replicas=2)

    async def scenario(pool: Any) -> None:
        assert await pool.live_replicas() == 2
        for one in watching:
            one.replicas = 1
        for away in watching[1:]:
            away.stop()
        assert await pool.live_replicas() == 2, "one of three may be on the wrong side"
        watching[0].replicas = 3
        assert await pool.live_replicas() == 3
        watching[0].replicas = 1
        for back in watching[1:]:
            back.start()
        assert await pool.live_replicas() == 1, "most of them say so"

    with sentinels(*watching) as url:
        with_pool(url, scenario)


def test_what_replicas_there_are_is_not_guessed() -> None:
    watching = three(replicas=1)

    async def scenario(pool: Any) -> None:
        assert await pool.get_master_address() == OLD
        for away in watching[1:]:
            away.stop()
        with pytest.raises(redis.ConnectionError, match="most Sentinels do not say which replicas are alive"):
            await pool.live_replicas()
        for back in watching[1:]:
            back.start()

    with sentinels(*watching) as url:
        with_pool(url, scenario)
