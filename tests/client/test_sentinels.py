"""What Sentinels say, and what is made of it: they are asked, may be away for a while, and may disagree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis

from benchmarks.harness.waiting import patience
from tests.support.fake_sentinel import FakeSentinel, sentinels
from tokenreward.protocol.connections import connect, connect_async
from tokenreward.protocol.sentinels import UnknownMaster

OLD, NEW = ("127.0.0.1", 1), ("127.0.0.1", 2)


def three(replicas: int = 0) -> list[FakeSentinel]:
    return [FakeSentinel("rewards", OLD, replicas) for _ in range(3)]


def sync_primary(url: str) -> tuple[str, int]:
    with connect(url) as client:
        found: tuple[str, int] = client.connection_pool.get_master_address()
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
@pytest.mark.parametrize("stale", range(3))
def test_the_newest_configuration_counts_wherever_a_stale_one_stands(ask: Callable[..., Any], stale: int) -> None:
    watching = three()
    for one in watching:
        one.listed, one.sent_to, one.epoch = NEW, NEW, 4
    watching[stale].listed, watching[stale].sent_to, watching[stale].epoch = OLD, OLD, 3
    with sentinels(*watching) as url:
        assert ask(url) == NEW


@both
def test_the_new_primary_is_taken_while_replicas_still_copy_it(ask: Callable[..., Any]) -> None:
    other, leader, away = three()
    leader.sent_to, leader.epoch = NEW, 1  # it lists the old one until all of them have
    with sentinels(other, leader, away) as url:
        away.stop()
        assert ask(url) == NEW
        leader.flags = "master,s_down"
        assert ask(url) == NEW
        away.start()


@pytest.mark.parametrize("made", [connect, connect_async])
def test_a_former_primary_is_not_gone_back_to(made: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    others, leader = three()[:2], three()[0]
    leader.sent_to, leader.epoch = NEW, 1

    async def address(pool: Any) -> Any:
        found = pool.get_master_address()
        return await found if made is connect_async else found

    async def scenario(pool: Any) -> None:
        others[0].stop()
        assert await address(pool) == NEW
        others[0].start()
        leader.stop()
        with pytest.raises(redis.ConnectionError, match="names a primary"):
            await address(pool)
        monkeypatch.setattr("tokenreward.protocol.sentinels.time.monotonic", lambda: time.time() + 1e9)
        assert await address(pool) == OLD, "Sentinels that were set up anew count from 0"
        leader.start()

    with sentinels(*others, leader) as url:
        asyncio.run(scenario(made(url).connection_pool))


@both
def test_a_primary_that_is_down_is_not_named_while_nobody_took_over(ask: Callable[..., Any]) -> None:
    watching = three()
    for one in watching:
        one.flags = "master,o_down"
    with sentinels(*watching) as url:
        with pytest.raises(redis.ConnectionError, match="no Sentinel names a primary of 'rewards' now"):
            ask(url)
        for one in watching:
            one.flags = "master"
        assert ask(url) == OLD


@both
def test_a_wrong_name_is_told_from_sentinels_that_are_away(ask: Callable[..., Any]) -> None:
    watching = three()
    with sentinels(*watching) as url, pytest.raises(UnknownMaster, match=r"no master .+ \(they watch rewards\)"):
        ask(url.removesuffix("s"))
    with pytest.raises(redis.ConnectionError, match=r"no Sentinel answers \(.+\): start one"):
        ask(url)


@both
def test_one_that_is_silent_or_refuses_holds_up_nobody(ask: Callable[..., Any]) -> None:
    silent, *others = three()
    with sentinels(silent, *others) as url:
        silent.answers.clear()
        assert ask(url) == OLD
        silent.answers.set()
        silent.refuses = True
        assert ask(url) == OLD
        for one in others:
            one.refuses = True
        with pytest.raises(redis.ConnectionError, match=r"no Sentinel answers .*may not"):
            ask(url)


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


def test_callers_at_the_same_time_share_the_answers_and_one_that_goes_away_stops_nobody() -> None:
    watching = three(replicas=2)

    async def scenario(pool: Any) -> None:
        asked = [asyncio.create_task(pool.replicas()) for _ in range(200)]
        await asyncio.sleep(0)
        asked[0].cancel()
        assert set(await asyncio.gather(*asked[1:])) == {replicas(2)}
        assert await pool.replicas() == replicas(2), "what was said within the last second"

    with sentinels(*watching) as url:
        with_pool(url, scenario)
        assert max(one.asked["SLAVES"] for one in watching) == 1


def test_as_long_as_few_answer_every_replica_that_they_know_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenreward.protocol.connections._ASK_AGAIN_SECONDS", 0)
    watching = three(replicas=1)

    async def scenario(pool: Any) -> None:
        assert await pool.replicas() == replicas(1), "the other one is down"
        for away in watching[1:]:
            away.stop()
        gone = FakeSentinel.GONE
        assert await pool.replicas() == replicas(1) | {gone}, "it may be taking over on the other side of a split"
        for back in watching[1:]:
            back.start()
        assert await pool.replicas() == replicas(1)

    with sentinels(*watching) as url:
        with_pool(url, scenario)


def test_addresses_where_no_sentinel_is_stand_in_nobodys_way() -> None:
    watching = three(replicas=1)

    async def scenario(pool: Any) -> None:
        assert await pool.replicas() == replicas(1)

    with sentinels(*watching) as url:
        with_pool(url.replace("redis+sentinel://", "redis+sentinel://127.0.0.1:1,"), scenario)


def test_one_address_is_few_where_there_are_more_sentinels() -> None:
    watching = three(replicas=1)

    async def scenario(pool: Any) -> None:
        assert await pool.replicas() == replicas(1) | {FakeSentinel.GONE}
        watching[0].others = 0
        pool.sentinel_manager._answered = 0.0
        assert await pool.replicas() == replicas(1), "it is the only one"

    with sentinels(*watching):
        with_pool(f"redis+sentinel://{watching[0].address}/rewards", scenario)


@both
def test_one_that_changes_over_while_it_is_asked_has_not_answered(ask: Callable[..., Any]) -> None:
    watching = three()
    for one in watching:
        one.changes_over = NEW
    with sentinels(*watching) as url:
        with pytest.raises(redis.ConnectionError, match="changed over while it was asked"):
            ask(url)
        assert ask(url) == NEW


def test_one_that_was_set_up_anew_does_not_decide_alone() -> None:
    anew, *others = three(replicas=1)
    anew.others, anew.replicas, anew.flags = 0, 0, "master,s_down"
    for one in others:
        one.answers.clear()

    async def scenario(pool: Any) -> None:
        asked = asyncio.create_task(pool.replicas())
        await until(lambda: anew.asked["SLAVES"] == 1)
        assert not asked.done()
        for one in others:
            one.answers.set()
        assert await asked == replicas(1)
        assert pool.master_address == OLD

    with sentinels(anew, *others) as url:
        with_pool(url, scenario)


def test_who_asks_for_the_replicas_goes_to_the_primary_that_was_named_with_them() -> None:
    watching = three(replicas=1)

    async def scenario(pool: Any) -> None:
        await pool.get_master_address()
        for one in watching:
            one.listed, one.sent_to, one.epoch = NEW, NEW, 1
        pool.sentinel_manager._answered = 0.0
        assert await pool.replicas() == replicas(1)
        assert pool.master_address == NEW

    with sentinels(*watching) as url:
        with_pool(url, scenario)


async def until(true: Callable[[], bool]) -> None:
    for _ in range(int(100 * patience(10))):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


def replicas(count: int) -> frozenset[Any]:
    return frozenset(FakeSentinel.replica(number) for number in range(count))
