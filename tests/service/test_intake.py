"""A large JSON body is taken in without keeping the other requests waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest
from fastapi import FastAPI

from benchmarks.harness.stack import Stack
from tokenreward.schema import JobOptions, JobRequest
from tokenreward_service.intake import parsing
from tokenreward_service.intake.job_builder import JobBuilder
from tokenreward_service.intake.json_shape import OBJECT_ENDS, SEQUENCE_ENDS, overfull
from tokenreward_service.intake.parsing import check_items, read_json, read_ndjson
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

    return await read_json(pieces(), JobRequest, SETTINGS, ends=OBJECT_ENDS)


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
        (b"[" * 40_000, 400),
        (b"9" * 5000, 400),
        (b'1],"more":[1', 422),
    ],
)
def test_what_is_wrong_with_a_body_is_the_same_problem_whatever_its_size(last: bytes, status: int) -> None:
    for count in (1, 10_000):
        with pytest.raises(ProblemError) as refused:
            asyncio.run(read(body(count, last)))
        assert refused.value.problem.status == status


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"items":[' + b"[]," * 100_000 + b"1]}",
        b'{"items":[{"prompt":"p","response":[' + b"[]," * 100_000 + b"1]}]}",
        b'{"items":[{"prompt":"p","response":"r","x":{' + b'"k":1,' * 100_000 + b'"k":1}}]}',
        b'{"items":[' + b"1," * 1_100_000 + b"1]}",
        b"[" * 100_000,
    ],
    ids=["arrays", "arrays in an item", "keys", "numbers", "deep"],
)
def test_a_body_of_more_structure_than_any_item_has_is_refused_unparsed(
    hostile: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "_parsed", lambda data: pytest.fail("it was parsed"))
    other = Other()
    with pytest.raises(ProblemError) as caught:
        asyncio.run(other.beside(read(hostile)))
    assert caught.value.problem.status == 413
    assert other.turns, "it is looked at in a thread"


def test_a_line_of_more_structure_than_any_item_has_is_refused() -> None:
    async def lines(line: bytes) -> None:
        async def sent() -> AsyncIterator[bytes]:
            yield b'{"prompt":"p","response":"r"}\n' + line + b"\n"

        async for _ in read_ndjson(sent(), SETTINGS):
            pass

    with pytest.raises(ProblemError, match="Line 2 has more than 50000 arrays"):
        asyncio.run(lines(b'{"prompt":[' + b"[]," * 100_000 + b"[]]}"))
    asyncio.run(lines(json.dumps({"prompt": '"[{:,\\' * 60_000, "response": "r"}).encode()))


def test_structure_inside_of_strings_and_in_many_items_is_nobodys_limit() -> None:
    item = {"prompt": [{"role": "user", "content": 'a [ "{" \\ in text'}], "response": "[[[[" * 5}
    assert len(asyncio.run(read(json.dumps({"items": [item] * 20_000}).encode())).items) == 20_000
    assert not overfull(
        json.dumps({"items": [{"prompt": '[{:,"\\' * 20_000, "response": "r"}] * 3}).encode(), OBJECT_ENDS
    )


def test_a_line_is_one_item_whatever_closes_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line = b'{"prompt":"p","response":"r","tools":[' + b"{}," * 100_000 + b"{}]}"
    for sent in ([line], [line, b"\n"], [b"\n" + line[:9], line[9:]]):
        with pytest.raises(ProblemError, match=r"Line \d has more than 50000 arrays"):
            asyncio.run(read_lines(sent))
    looked_at: list[int] = []

    async def look(text: bytes, where: str) -> None:
        looked_at.append(len(text))

    monkeypatch.setattr(parsing, "check_shape", look)
    pieces = [ITEM[i : i + 1] for i in range(len(ITEM))]
    asyncio.run(read_lines(pieces))
    asyncio.run(read_lines([*pieces, b"\n"]))
    assert looked_at == [len(ITEM), len(ITEM), 0], "once, and not with each chunk"


async def read_lines(chunks: list[bytes]) -> None:
    async def sent() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async for _ in read_ndjson(sent(), SETTINGS):
        pass


def test_sequences_of_ids_count_each_for_itself_but_not_without_end() -> None:
    sequences = json.dumps({"prompt": [[1] * 16_000] * 64}).encode()
    assert overfull(sequences)
    assert not overfull(sequences, SEQUENCE_ENDS)
    assert overfull(json.dumps({"prompt": [[1] * 1_100_000]}).encode(), SEQUENCE_ENDS)
    assert overfull(b'{"prompt":[' + b"[]," * 100_000 + b"[]]}", SEQUENCE_ENDS)


def test_an_item_that_is_wrong_in_a_hundred_thousand_places_is_told_of_one() -> None:
    (entry,) = check_items([{"prompt": "p", "response": "r", "token_ids": ["x"] * 100_000}], SETTINGS)
    assert entry.failure is not None
    assert entry.failure.pointer == "/items/0/token_ids/0"
    (entry,) = check_items([{"prompt": "p", "response": "r"} | {f"k{n}": 1 for n in range(5000)}], SETTINGS)
    assert entry.failure is not None
    assert entry.failure.message == "5000 places in it are wrong"
