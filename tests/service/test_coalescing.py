"""Small calls that arrive together share shards and a transaction; each of them hears of its own success or failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tokenreward.protocol import keys
from tokenreward.protocol.records import Shard
from tokenreward_service.intake.coalescing import Coalescer, merged_shards
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.drafts import Draft

from .conftest import FINGERPRINT, Parts


def covered(shards: Sequence[Shard]) -> list[str]:
    return sorted(member.job for shard in shards for member in shard.members)


def test_work_for_one_fingerprint_shares_shards_up_to_the_budget(run) -> None:
    async def scenario(parts: Parts) -> None:
        drafts = [await parts.draft(items=2) for _ in range(7)]  # 20 tokens each
        shards = merged_shards(drafts, budget=60)
        assert [len(shard.members) for shard in shards] == [3, 3, 1]
        assert [shard.estimated for shard in shards] == [60, 60, 20]
        assert all(shard.front for shard in shards)
        assert covered(shards) == sorted(draft.id for draft in drafts)

    run(scenario)


def test_a_slice_above_the_budget_gets_a_shard_of_its_own(run) -> None:
    async def scenario(parts: Parts) -> None:
        drafts = [await parts.draft(items=n) for n in (1, 50, 1)]
        assert [shard.items for shard in merged_shards(drafts, budget=60)] == [1, 50, 1]

    run(scenario)


def test_work_for_different_fingerprints_never_shares_a_shard(run) -> None:
    async def scenario(parts: Parts) -> None:
        other = FINGERPRINT.model_copy(update={"dtype": "bfloat16"})
        await parts.register(other)
        drafts = [await parts.draft(fingerprint=which) for which in (FINGERPRINT, other, FINGERPRINT, other)]
        shards = merged_shards(drafts, budget=1000)
        assert {shard.fp: len(shard.members) for shard in shards} == {FINGERPRINT.digest: 2, other.digest: 2}

    run(scenario)


def test_calls_that_arrive_together_are_published_in_shared_shards(run) -> None:
    async def scenario(parts: Parts) -> None:
        coalescer = Coalescer(parts.store.publisher, ServiceSettings(merge_milliseconds=20))
        drafts = [await parts.draft() for _ in range(30)]
        await asyncio.gather(*[coalescer.publish(draft) for draft in drafts])
        jobs = [await parts.store.snapshots.get(draft.id) for draft in drafts]
        assert all(job is not None and job.state == "queued" for job in jobs)
        assert parts.sync.zcard(keys.queued(FINGERPRINT.digest)) <= 3

    run(scenario)


def test_a_lone_call_is_published_without_waiting_for_company(run) -> None:
    async def scenario(parts: Parts) -> None:
        coalescer = Coalescer(parts.store.publisher, ServiceSettings(merge_milliseconds=60_000))
        for _ in range(2):
            draft = await parts.draft()
            await asyncio.wait_for(coalescer.publish(draft), 10)
            assert await parts.store.snapshots.get(draft.id)

    run(scenario)


class FailingOnce:
    """A publisher whose first publication fails."""

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher
        self._failed = False

    async def publish(self, drafts: Sequence[Draft], shards: Sequence[Shard]) -> None:
        if not self._failed:
            self._failed = True
            raise ConnectionError("the store is away")
        await self._publisher.publish(drafts, shards)


def test_every_call_of_a_batch_hears_that_it_failed_and_the_next_batch_goes_on(run) -> None:
    async def scenario(parts: Parts) -> None:
        failing: Any = FailingOnce(parts.store.publisher)
        coalescer = Coalescer(failing, ServiceSettings())
        drafts = [await parts.draft() for _ in range(3)]
        outcomes = await asyncio.gather(*[coalescer.publish(draft) for draft in drafts], return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ConnectionError] * 3
        assert [await parts.store.snapshots.get(draft.id) for draft in drafts] == [None] * 3
        again = await parts.draft()
        await coalescer.publish(again)
        assert await parts.store.snapshots.get(again.id)

    run(scenario)


def test_a_caller_that_gives_up_does_not_take_its_batch_along(run) -> None:
    async def scenario(parts: Parts) -> None:
        coalescer = Coalescer(parts.store.publisher, ServiceSettings())
        first, second = await parts.draft(), await parts.draft()
        leaving = asyncio.create_task(coalescer.publish(first))
        staying = asyncio.create_task(coalescer.publish(second))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await parts.store.snapshots.get(second.id)

    run(scenario)
