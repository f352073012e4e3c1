"""Recovery, one part at a time: lost shards, the hunt for an item that kills workers, doorbells, and the rounds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio

from benchmarks.harness.stack import Stack
from tokenreward.protocol import doorbell, keys
from tokenreward.protocol.records import JobSlice
from tokenreward.protocol.worker_records import connection_name
from tokenreward_service.fleet import Fleet
from tokenreward_service.recovery.doorbells import Doorbells
from tokenreward_service.recovery.lost_shards import LostShard, LostShards
from tokenreward_service.recovery.poison import PoisonHunt, halves
from tokenreward_service.recovery.reconciler import Reconciler
from tokenreward_service.results.reading import read_results
from tokenreward_service.settings import ServiceSettings

from .conftest import FINGERPRINT, Parts

FP = FINGERPRINT.digest


@contextlib.contextmanager
def connected(server: Stack, worker: str) -> Iterator[None]:
    """A connection as a live worker has one."""
    with redis.Redis.from_url(server.redis_url, client_name=connection_name(worker)) as client:
        client.ping()
        yield


def hunt(parts: Parts, max_attempts: int = 3) -> PoisonHunt:
    return PoisonHunt(parts.redis, parts.store.payloads, Doorbells(parts.redis, parts.sync), max_attempts)


def bells(parts: Parts) -> list[str]:
    return [name.decode() for name in parts.sync.lrange(doorbell.queue(FP, parts.sync).key, 0, -1)]


def waiting(parts: Parts) -> list[str]:
    return [name.decode() for name in parts.sync.zrange(keys.queued(FP), 0, -1)]


def attempts(parts: Parts, shard: str) -> int:
    return int(parts.sync.hget(keys.shard(shard), "attempts"))


def test_a_shard_is_lost_when_its_lease_ended_although_its_worker_lives(server: Stack, run) -> None:
    async def scenario(parts: Parts) -> None:
        _, ended = await parts.publish()
        _, held = await parts.publish()
        await parts.claim(ended, "alive", lease=-2)
        await parts.claim(held, "alive", lease=60)
        with connected(server, "alive"):
            assert await LostShards(parts.redis).find() == [LostShard(ended, "alive")]

    run(scenario)


def test_a_shard_is_lost_when_its_worker_has_no_connection_in_two_rounds_running(server: Stack, run) -> None:
    async def scenario(parts: Parts) -> None:
        _, shard = await parts.publish()
        await parts.claim(shard, "flaky")
        lost = LostShards(parts.redis)
        assert await lost.find() == [], "one round may be a reconnect"
        with connected(server, "flaky"):
            assert await lost.find() == [], "it came back"
        assert await lost.find() == []
        assert await lost.find() == [LostShard(shard, "flaky")]

    run(scenario)


def test_workers_have_time_to_come_to_another_server(
    server: Stack, run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(parts: Parts) -> None:
        lost = LostShards(parts.redis)
        _, shard = await parts.publish()
        await parts.claim(shard, "slow-to-follow")
        with connected(server, "slow-to-follow"):
            assert await lost.find() == []
        with Stack(tmp_path) as other:
            copy_claim(parts.sync, other.redis, shard)
            monkeypatch.setattr(lost, "_redis", redis.asyncio.Redis.from_url(other.redis_url))
            assert [await lost.find() for _ in range(3)] == [[], [], []]
            monkeypatch.setattr("tokenreward_service.recovery.lost_shards.time.monotonic", lambda: time.time() + 1e9)
            assert await lost.find() == [LostShard(shard, "slow-to-follow")]
            await lost._redis.aclose()

    run(scenario)


def copy_claim(old: redis.Redis, new: redis.Redis, shard: str) -> None:
    """Have a claimed shard on another server, as replication does."""
    for key in (keys.CLAIMED, keys.shard(shard)):
        new.restore(key, 0, old.dump(key))


def test_a_forged_claim_is_taken_off_the_index_and_real_ones_are_kept(server: Stack, run) -> None:
    async def scenario(parts: Parts) -> None:
        _, shard = await parts.publish()
        await parts.claim(shard, "alive")
        await parts.redis.zadd(keys.CLAIMED, {"no-such-shard": 0, b"\xff": 0})
        with connected(server, "alive"):
            assert await LostShards(parts.redis).find() == []
        assert parts.sync.zscore(keys.CLAIMED, "no-such-shard") is None
        assert parts.sync.zscore(keys.CLAIMED, shard)

    run(scenario)


def test_a_shard_that_was_lost_once_is_queued_again_as_it_is(run) -> None:
    async def scenario(parts: Parts) -> None:
        _, shard = await parts.publish(items=4)
        await parts.claim(shard, "w1")
        parts.sync.delete(doorbell.queue(FP, parts.sync).key)
        await hunt(parts).take_back(LostShard(shard, "w1"))
        assert waiting(parts) == [shard]
        assert bells(parts) == [shard]
        assert attempts(parts, shard) == 1
        assert parts.sync.hget(keys.COUNTERS, "recoveries") == b"1"

    run(scenario)


def test_a_shard_that_was_handed_on_meanwhile_is_left_alone(run) -> None:
    async def scenario(parts: Parts) -> None:
        _, shard = await parts.publish()
        await parts.claim(shard, "w2")
        await hunt(parts).take_back(LostShard(shard, "w1"))
        assert waiting(parts) == []
        assert parts.sync.hget(keys.shard(shard), "worker") == b"w2"

    run(scenario)


def test_a_shard_that_takes_workers_down_is_split_to_the_item_that_does_it_which_gets_an_error(run) -> None:
    async def scenario(parts: Parts) -> None:
        job_id, _ = await parts.publish(items=5)
        poison = hunt(parts)
        worker = 0
        for _ in range(40):
            if not (queue := waiting(parts)):
                break
            shard, worker = queue[0], worker + 1
            await parts.claim(shard, f"w{worker}")
            await parts.scripts.mark_scoring(args=[f"w{worker}", shard])
            await poison.take_back(LostShard(shard, f"w{worker}"))
        job = await parts.store.snapshots.get(job_id)
        assert job is not None
        assert (job.state, job.done_items, job.failed_items) == ("succeeded", 5, 5)
        rows = [row async for table in read_results(parts.store.payloads, job, 0) for row in table.to_pylist()]
        assert [row["index"] for row in rows] == list(range(5))
        assert [row["id"] for row in rows] == [str(n) for n in range(5)]
        assert {row["error"]["code"] for row in rows} == {"poison"}

    run(scenario)


def test_a_shard_that_merely_waited_is_not_blamed_for_what_its_neighbour_did(run) -> None:
    async def scenario(parts: Parts) -> None:
        _, shard = await parts.publish(items=4)
        poison = hunt(parts)
        for n, at_fault in enumerate([shard, "neighbour", "neighbour"]):
            await parts.claim(shard, f"w{n}")
            await parts.scripts.mark_scoring(args=[f"w{n}", at_fault])
            await poison.take_back(LostShard(shard, f"w{n}"))
        assert waiting(parts) == [shard], "it was not split"
        assert attempts(parts, shard) == 1

    run(scenario)


def test_the_halves_of_a_shard_hold_every_item_once() -> None:
    one = JobSlice(job="a", slice=10, offset=2, count=5)
    assert [(m.start, m.count) for half in halves([one]) for m in half] == [(12, 2), (14, 3)]
    three = [JobSlice(job=name, slice=0, offset=0, count=1) for name in "abc"]
    assert [[m.job for m in half] for half in halves(three)] == [["a"], ["b", "c"]]


def test_a_queued_shard_whose_doorbell_is_gone_gets_one_new_one(run) -> None:
    async def scenario(parts: Parts) -> None:
        _, silent = await parts.publish()
        parts.sync.delete(doorbell.queue(FP, parts.sync).key)
        _, announced = await parts.publish()
        parts.sync.zadd(keys.queued(FP), {silent: time.time() - 10, announced: time.time() - 10, "forged": 1.0})
        doorbells = Doorbells(parts.redis, parts.sync)
        for _ in range(2):
            await doorbells.ring_again()
            assert sorted(bells(parts)) == sorted([silent, announced])
        assert sorted(waiting(parts)) == sorted([silent, announced]), "the forged one is off the index"

    run(scenario)


def test_a_shard_that_was_queued_just_now_is_given_time_to_be_claimed(run) -> None:
    async def scenario(parts: Parts) -> None:
        await parts.publish()
        parts.sync.delete(doorbell.queue(FP, parts.sync).key)
        await Doorbells(parts.redis, parts.sync).ring_again()
        assert bells(parts) == []

    run(scenario)


def reconciler_of(parts: Parts) -> Reconciler:
    settings = ServiceSettings(reconcile_seconds=0.01)
    return Reconciler(parts.redis, parts.sync, parts.store, Fleet(parts.redis), settings)


def test_a_round_that_fails_does_not_end_recovery(run) -> None:
    async def scenario(parts: Parts) -> None:
        _, shard = await parts.publish()
        parts.sync.set(keys.CLAIMED, "no sorted set")
        reconciler = reconciler_of(parts)
        task = asyncio.create_task(reconciler.run())
        try:
            await asyncio.sleep(0.2)
            parts.sync.delete(keys.CLAIMED)
            await parts.claim(shard, "gone", lease=-2)
            for _ in range(500):
                if waiting(parts):
                    break
                await asyncio.sleep(0.02)
        finally:
            task.cancel()
        assert waiting(parts) == [shard]

    run(scenario)


def test_only_the_holder_of_the_lock_reconciles(run) -> None:
    async def scenario(parts: Parts) -> None:
        _, shard = await parts.publish()
        await parts.claim(shard, "gone", lease=-2)
        lock = parts.redis.lock(keys.RECONCILER_LOCK, timeout=60)
        assert await lock.acquire(blocking=False)
        reconciler = reconciler_of(parts)
        task = asyncio.create_task(reconciler.run())
        try:
            await asyncio.sleep(0.3)
            assert waiting(parts) == []
            await lock.release()
            for _ in range(500):
                if waiting(parts):
                    break
                await asyncio.sleep(0.02)
        finally:
            task.cancel()
        assert waiting(parts) == [shard]

    run(scenario)
