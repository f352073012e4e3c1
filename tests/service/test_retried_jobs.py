"""A retry of failed items: what it leaves of the first run, and who reads while it happens."""

from __future__ import annotations

import pytest

from tokenreward.protocol import keys
from tokenreward.protocol.arrow_blobs import pack_results
from tokenreward.protocol.records import JobSlice, commit_args
from tokenreward.schema import ItemFailure, ItemResult, Job
from tokenreward_service.results.retry import retry_failed

from .conftest import FINGERPRINT, Parts

POISON = ItemFailure(code="poison", message="scoring this item took 3 workers down")
FIRST_TOKENS, SECOND_TOKENS = 500, 7


async def snapshot(parts: Parts, job_id: str) -> Job:
    found = await parts.store.snapshots.get(job_id)
    assert found is not None
    return found


async def commit(parts: Parts, shard: str, member: JobSlice, failed: list[int], tokens: int) -> None:
    results = [
        ItemResult(index=n, error=POISON) if n in failed else ItemResult(index=n, token_ids=[1], rewards=[0.25])
        for n in range(member.start, member.start + member.count)
    ]
    await parts.claim(shard, "w")
    await parts.scripts.commit(args=commit_args(shard, [(member, len(failed), tokens, b"i" + pack_results(results))]))


async def retried(parts: Parts) -> str:
    """A job of three items, of which the middle one failed and was queued again."""
    job_id, shard = await parts.publish(3)
    await commit(parts, shard, JobSlice(job=job_id, slice=0, offset=0, count=3), [1], FIRST_TOKENS)
    assert await retry_failed(parts.store, await snapshot(parts, job_id))
    return job_id


def test_who_reads_a_range_that_a_retry_has_split_is_told_that_it_is_gone(run) -> None:
    async def scenario(parts: Parts) -> None:
        job_id = await retried(parts)
        assert await parts.store.payloads.range_results(job_id, 0, 3) is None
        table = await parts.store.payloads.range_results(job_id, 0, 1)
        assert table is not None
        assert table["index"].to_pylist() == [0]

    run(scenario)


def test_the_rate_of_a_retried_job_is_that_of_its_new_run(run) -> None:
    async def scenario(parts: Parts) -> None:
        job_id = await retried(parts)
        waiting = await snapshot(parts, job_id)
        assert (waiting.started_at, waiting.tokens_per_second, waiting.eta_seconds) == (None, None, None)
        (shard,) = await parts.redis.zrange(keys.queued(FINGERPRINT.digest), 0, -1)
        await commit(parts, shard.decode(), JobSlice(job=job_id, slice=0, offset=1, count=1), [], SECOND_TOKENS)
        over = await snapshot(parts, job_id)
        assert over.started_at is not None
        assert over.finished_at is not None
        assert over.tokens_done == FIRST_TOKENS + SECOND_TOKENS
        assert over.tokens_per_second == pytest.approx(SECOND_TOKENS / (over.finished_at - over.started_at))

    run(scenario)
