"""Idempotency keys: what a second request with the same key gets, at every moment of the first one's life."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tokenreward_service.intake.idempotency import IdempotentRequest
from tokenreward_service.problems import ProblemError

from .conftest import Parts

OPTIONS = "application/json {}"


async def body(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def request(parts: Parts, owner: str = "owner", key: str = "key", described: str = OPTIONS) -> IdempotentRequest:
    return IdempotentRequest(parts.redis, owner, key, described)


async def read(request: IdempotentRequest, *chunks: bytes) -> bytes:
    return b"".join([chunk async for chunk in request.hashing(body(*chunks))])


async def carried_out(parts: Parts, content: bytes = b"content") -> str:
    """The job of a request that went well."""
    first = request(parts)
    assert await first.claim() is None
    assert await read(first, content) == content
    job_id, _ = await parts.publish()
    await parts.redis.set(first.record, first.settled(job_id))
    await first.release()
    return job_id


def test_a_request_under_way_turns_a_second_one_away_until_it_is_released(run) -> None:
    async def scenario(parts: Parts) -> None:
        first = request(parts)
        assert await first.claim() is None
        assert 0 < await parts.redis.ttl(first.record) <= 20, "a crash leaves the key for seconds only"
        with pytest.raises(ProblemError) as refused:
            await request(parts).claim()
        assert refused.value.problem.status == 409
        assert refused.value.headers["Retry-After"]
        await first.release()
        second = request(parts)
        assert await second.claim() is None
        await second.release()

    run(scenario)


def test_the_same_content_gets_the_job_of_the_first_request_however_it_is_cut(run) -> None:
    async def scenario(parts: Parts) -> None:
        job_id = await carried_out(parts)
        second = request(parts)
        left = await second.claim()
        assert left is not None
        await read(second, b"con", b"tent")
        assert second.same_job(left) == job_id

    run(scenario)


@pytest.mark.parametrize(("described", "content"), [(OPTIONS, b"other"), ("application/json {1}", b"content")])
def test_other_content_or_options_under_the_same_key_are_refused(run, described: str, content: bytes) -> None:
    async def scenario(parts: Parts) -> None:
        await carried_out(parts)
        second = request(parts, described=described)
        left = await second.claim()
        assert left is not None
        await read(second, content)
        with pytest.raises(ProblemError) as refused:
            second.same_job(left)
        assert refused.value.problem.status == 422

    run(scenario)


def test_a_key_belongs_to_its_owner(run) -> None:
    async def scenario(parts: Parts) -> None:
        await carried_out(parts)
        other = request(parts, owner="somebody else")
        assert await other.claim() is None
        await other.release()

    run(scenario)


def test_a_key_is_free_again_once_its_job_is_gone(run) -> None:
    async def scenario(parts: Parts) -> None:
        job_id = await carried_out(parts)
        await parts.store.purge(job_id)
        again = request(parts)
        assert await again.claim() is None
        await again.release()

    run(scenario)


def test_a_request_that_came_to_publishing_keeps_its_key(run) -> None:
    async def scenario(parts: Parts) -> None:
        first = request(parts)
        await first.claim()
        first.settled("0" * 32)
        await first.release()  # whether the job was published is not known
        assert await parts.redis.exists(first.record)

    run(scenario)
