"""The order in which waiting shards are claimed: owners take turns by tokens, and interactive work goes first."""

from __future__ import annotations

import json

import pytest

from tokenreward.protocol import keys
from tokenreward.protocol.records import JobSlice, Shard, dump_shards

from .conftest import FINGERPRINT, Parts

FP = FINGERPRINT.digest


async def queue(parts: Parts, owner: str, *tokens: int, front: bool = False) -> list[str]:
    """A job of an owner with a shard for each number of tokens. Returns the ids of the shards."""
    job = f"{owner}-{await parts.redis.incr('test:jobs')}"
    fields = {"state": "queued", "version": 1, "owner": owner, "options": "{}"}
    await parts.redis.hset(keys.job(job), mapping=fields)
    shards = [
        Shard(fp=FP, members=[JobSlice(job=job, slice=n, offset=0, count=1)], estimated=each, front=front)
        for n, each in enumerate(tokens)
    ]
    await parts.scripts.queue(args=[dump_shards(shards)])
    return [shard.id for shard in shards]


async def claim_next(parts: Parts, worker: str = "w") -> str | None:
    text = await parts.scripts.claim(args=[FP, worker, 60, ""])
    return json.loads(text)["shard"] if text else None


async def claim_all(parts: Parts) -> list[str]:
    found = []
    while (shard := await claim_next(parts)) is not None:
        found.append(shard)
    return found


def test_one_owners_shards_are_claimed_in_the_order_they_came(run) -> None:
    async def scenario(parts: Parts) -> None:
        first, second = await queue(parts, "a", 10, 10), await queue(parts, "a", 5)
        assert await claim_all(parts) == [*first, *second]

    run(scenario)


def test_a_small_job_of_another_owner_does_not_wait_for_a_large_one(run) -> None:
    async def scenario(parts: Parts) -> None:
        large = await queue(parts, "large", *[100] * 1000)
        begun = [await claim_next(parts) for _ in range(10)]
        assert begun == large[:10]
        small = await queue(parts, "small", 100)
        soon = [await claim_next(parts) for _ in range(3)]
        assert small[0] in soon

    run(scenario)


def test_owners_share_by_tokens_and_not_by_shards(run) -> None:
    async def scenario(parts: Parts) -> None:
        await queue(parts, "heavy", *[300] * 40)
        light = await queue(parts, "light", *[100] * 120)
        claimed = [await claim_next(parts) for _ in range(80)]
        tokens = sum(100 if shard in set(light) else 300 for shard in claimed)
        share = sum(100 for shard in claimed if shard in set(light)) / tokens
        assert 0.45 < share < 0.55

    run(scenario)


def test_an_owner_who_was_away_has_saved_no_turns(run) -> None:
    async def scenario(parts: Parts) -> None:
        steady = await queue(parts, "steady", *[100] * 50)
        for _ in range(20):
            await claim_next(parts)
        await queue(parts, "late", *[100] * 50)
        claimed = [await claim_next(parts) for _ in range(20)]
        assert 8 <= len(set(claimed) & set(steady)) <= 12

    run(scenario)


def test_interactive_work_goes_before_all_else_in_the_order_it_came(run) -> None:
    async def scenario(parts: Parts) -> None:
        bulk = await queue(parts, "a", 10)
        first = await queue(parts, "b", 10, front=True)
        second = await queue(parts, "a", 10, front=True)
        assert await claim_all(parts) == [*first, *second, *bulk]

    run(scenario)


def test_a_shard_that_is_taken_back_or_split_keeps_its_turn(run) -> None:
    async def scenario(parts: Parts) -> None:
        shards = await queue(parts, "a", *[10] * 5)
        taken = await claim_next(parts)
        assert taken == shards[0]
        await parts.scripts.requeue(args=[taken, "w", 0])
        half = Shard(fp=FP, members=[JobSlice(job=await job_of(parts, taken), slice=0, offset=0, count=1)])
        await parts.scripts.split(args=[taken, dump_shards([half])])
        assert await claim_all(parts) == [half.id, *shards[1:]]

    run(scenario)


def test_a_worker_hears_of_work_that_should_not_wait_for_what_it_holds(run) -> None:
    async def scenario(parts: Parts) -> None:
        held = await queue(parts, "many", *[100] * 8)
        mine = await claim_next(parts)

        async def hears() -> bool:
            told = json.loads(await parts.scripts.renew(args=["w", 60, FP, mine]))
            assert set(told["owed"]) == {held[0]}
            return bool(told["overtakes"])

        assert not await hears(), "the next shards are of the same owner"
        few = await queue(parts, "few", 100)
        while (next_one := await next_of(parts)) != few[0]:
            assert not await hears()
            assert await claim_next(parts, "another") == next_one
        assert await hears()
        assert await claim_next(parts, "w") == few[0]
        assert not await hears()
        await queue(parts, "many", 100, front=True)
        assert await hears(), "interactive work overtakes whoever's it is"

    run(scenario)


@pytest.mark.parametrize("members", ["5", "null", "[1]", "[{}]", '["x"]', "no JSON"])
def test_a_record_that_cannot_be_read_ends_no_lease(run, members: str) -> None:
    async def scenario(parts: Parts) -> None:
        await queue(parts, "many", 100)
        mine = await claim_next(parts)
        (broken,) = await queue(parts, "few", 100)
        await parts.redis.hset(keys.shard(broken), "members", members)
        told = json.loads(await parts.scripts.renew(args=["w", 60, FP, mine]))
        assert set(told["owed"]) == {mine}

    run(scenario)


async def next_of(parts: Parts) -> str:
    (shard,) = await parts.redis.zrange(keys.PATTERNS["turn"].format(fingerprint=FP), 0, 0)
    return str(shard.decode())


async def job_of(parts: Parts, shard: str) -> str:
    return str(json.loads(await parts.redis.hget(keys.shard(shard), "members"))[0]["job"])


def test_nothing_is_kept_of_owners_for_whom_nothing_waits(run) -> None:
    async def scenario(parts: Parts) -> None:
        await queue(parts, "a", 10)
        await claim_all(parts)
        assert not [key async for key in parts.redis.scan_iter(match=keys.glob("front"))]

    run(scenario)


def test_what_a_version_without_turns_queued_or_claimed_stops_nobody(run) -> None:
    async def scenario(parts: Parts) -> None:
        claimed, waiting = await queue(parts, "a", 10), await queue(parts, "b", 10)
        await parts.redis.hset(keys.shard(claimed[0]), "state", "claimed")
        await parts.redis.zrem(keys.PATTERNS["turn"].format(fingerprint=FP), *waiting)
        assert await claim_all(parts) == waiting

    run(scenario)


def test_what_is_cancelled_is_not_charged_to_its_owner(run) -> None:
    async def scenario(parts: Parts) -> None:
        await queue(parts, "other", *[100] * 50)
        cancelled = await queue(parts, "a", *[10_000] * 5)
        await parts.scripts.cancel(args=[await job_of(parts, cancelled[0])])
        small = await queue(parts, "a", 100)
        assert small[0] in [await claim_next(parts) for _ in range(3)]

    run(scenario)


def test_a_shard_that_cannot_be_read_is_passed_over(run) -> None:
    async def scenario(parts: Parts) -> None:
        broken, strange, right = await queue(parts, "a", 10, 10, 10)
        await parts.redis.hset(keys.shard(broken), "members", "{")
        await parts.redis.delete(keys.shard(strange))
        await parts.redis.set(keys.shard(strange), "a string")
        assert await claim_all(parts) == [right]

    run(scenario)
