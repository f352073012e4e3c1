"""A large JSON body is taken in without keeping the other requests waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest
from fastapi import FastAPI

from benchmarks.harness.stack import Stack
from tokenreward.schema import JobOptions, JobRequest
from tokenreward_service.intake.job_builder import JobBuilder
from tokenreward_service.intake.parsing import check_items, read_json
from tokenreward_service.intake.pinning import plan
from tokenreward_service.problems import ProblemError
from tokenreward_service.runtime import running
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.drafts import Draft

ITEM = b'{"prompt":"p","response":"\\ud83d\\ude42 \xc3\xa4"}'
SETTINGS = ServiceSettings()

T = TypeVar("T")


def body(items: int, last: bytes = ITEM) -> bytes:
    return b'{"items":[' + (ITEM + b",") * (items - 1) + last + b"]}"


async def read(data: bytes) -> JobRequest:
    async def pieces() -> AsyncIterator[bytes]:
        yield data

    return await read_json(pieces(), JobRequest, SETTINGS)


class Other:
    """Another coroutine, which counts its turns."""

    turns = 0

    async def run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    async def beside(self, call: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(self.run())
        try:
            return await call
        finally:
            task.cancel()


def test_others_get_their_turn_while_a_body_is_parsed() -> None:
    other = Other()
    assert len(asyncio.run(other.beside(read(body(10_000)))).items) == 10_000
    assert other.turns


def test_others_get_their_turn_while_items_are_checked(synthetic: Stack) -> None:
    async def taken_in() -> None:
        async with running(FastAPI(), SETTINGS, synthetic.redis_url) as runtime:
            draft = Draft(await plan(JobOptions(), runtime.fleet, runtime.adapters), "owner", 60)
            builder = JobBuilder(runtime.store.drafts, draft, SETTINGS, dry=True)
            await other.beside(builder.take(check_items([{"prompt": "p"}] * 2000, SETTINGS)))

    other = Other()
    asyncio.run(taken_in())
    assert other.turns >= 20


def test_a_large_body_reads_as_a_small_one_does() -> None:
    small, large = (asyncio.run(read(body(count))) for count in (1, 10_000))
    assert large.items == small.items * 10_000


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (b"{", 400),
        (b'"\xff"', 400),
        (b'{"prompt":"\\ud800"}', 400),
        (b'{"\\ud800":1}', 400),
        (b"[" * 100_000, 400),
        (b"9" * 5000, 400),
        (b'1],"more":[1', 422),
    ],
)
def test_what_is_wrong_with_a_body_is_the_same_problem_whatever_its_size(last: bytes, status: int) -> None:
    for count in (1, 10_000):
        with pytest.raises(ProblemError) as refused:
            asyncio.run(read(body(count, last)))
        assert refused.value.problem.status == status
