"""Payloads in the blob store: what is removed from it and what is not, and what happens while it is away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx2
import pytest
import redis.asyncio

from benchmarks.harness.stack import Stack, http, running
from benchmarks.harness.waiting import patience, wait_for
from tests.support.jobs import check_undisturbed, job, submit
from tokenreward.protocol import keys
from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.protocol.spill import Spill
from tokenreward.schema import Item, JobOptions
from tokenreward_service.fleet import Fleet
from tokenreward_service.intake.pinning import plan
from tokenreward_service.store.adapters import Adapters
from tokenreward_service.store.drafts import Draft, Slice
from tokenreward_service.store.job_store import JobStore
from tokenreward_service.store.publishing import shards_of
from tokenreward_service.store.sweeping import Sweeper

SPILL_BYTES = 1000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("spilling")
    spilling = {"TOKENREWARD_BLOB_URL": str(folder / "blobs"), "TOKENREWARD_SPILL_BYTES": str(SPILL_BYTES)}
    small = {"TOKENREWARD_LEASE_SECONDS": "3", "TOKENREWARD_CACHE_TTL_SECONDS": "0", "TOKENREWARD_SHARD_ITEMS": "10"}
    with running(folder, **spilling, **small) as stack:
        yield stack


@pytest.fixture
def blobs(stack: Stack) -> Path:
    return stack.folder / "blobs"


@contextlib.contextmanager
def replaced_worker(stack: Stack) -> Iterator[None]:
    """The worker is stopped; whatever took its place is, too, before it is started again."""
    stack.workers.pop().stop()
    try:
        yield
    finally:
        while stack.workers:
            stack.workers.pop().stop()
        stack.start_worker()
        stack.wait_ready()


def listed(stack: Stack) -> list[dict]:
    return list(http.get(stack.url + "/v1/jobs").json()["jobs"])


def large(count: int) -> list[dict]:
    return [{"prompt": "p", "response": f"{n} " + "some words " * 200, "id": str(n)} for n in range(count)]


@contextlib.asynccontextmanager
async def store_of(stack: Stack, blobs: Path) -> AsyncIterator[tuple[JobStore, Sweeper, Draft]]:
    """A second service's store and sweeper on the same Redis, and a draft of its own."""
    async with redis.asyncio.Redis.from_url(stack.redis_url) as client:
        store = JobStore.on(client, stack.redis, Spill(str(blobs), SPILL_BYTES))
        yield (
            store,
            Sweeper(client, store.payloads),
            Draft(await plan(JobOptions(), Fleet(client), Adapters(client)), "-", 0),
        )


def test_the_sweep_removes_what_expired_and_nothing_else(stack: Stack, blobs: Path) -> None:
    foreign = [blobs / "notes" / "mine.txt", blobs / "0123456789abcdef0123456789abcdef" / "other-deployment.arrow"]
    for file in foreign:
        file.parent.mkdir(parents=True)
        file.write_text("not yours")
    work = large(4)
    kept, expired = submit(stack, work), submit(stack, work)
    check_undisturbed(stack, kept, work)
    check_undisturbed(stack, expired, work)
    stack.redis.delete(keys.job(expired), keys.items(expired))  # as its expiry does
    stack.redis.sadd(keys.SPILLED, "../blobs/notes", "notes")  # as a forger would

    async def sweeps() -> None:
        async with store_of(stack, blobs) as (_, sweeper, _):
            for _ in range(2):
                await sweeper.sweep()

    asyncio.run(sweeps())
    assert all(file.exists() for file in foreign)
    assert not (blobs / expired).exists()
    check_undisturbed(stack, kept, work)
    known = stack.redis.smembers(keys.SPILLED)
    assert kept.encode() in known
    assert not {b"../blobs/notes", b"notes", expired.encode()} & known


def test_an_upload_in_progress_is_not_swept(stack: Stack, blobs: Path) -> None:
    work = large(2)

    async def upload() -> str:
        async with store_of(stack, blobs) as (store, sweeper, draft):
            for n, item in enumerate(work):
                await store.drafts.stage(draft, Slice(n, [Entry(item["id"], Item(**item))], 1000))
                for _ in range(2):
                    await sweeper.sweep()
            await store.drafts.confirm(draft)
            await store.publisher.publish([draft], shards_of(draft))
            return draft.id

    check_undisturbed(stack, asyncio.run(upload()), work)


def test_a_job_whose_first_items_did_not_last_is_not_accepted(stack: Stack) -> None:
    before = listed(stack)
    lines = [json.dumps(item).encode() + b"\n" for item in large(400)]
    complete = set(stack.redis.scan_iter(match="tr:job:*:items"))
    host, port = stack.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=patience(30)) as raw:
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-ndjson\r\n"
        raw.sendall(f"{head}Connection: close\r\nContent-Length: {sum(map(len, lines))}\r\n\r\n".encode())
        raw.sendall(b"".join(lines[:300]))
        (staged,) = wait_for(lambda: {*stack.redis.scan_iter(match="tr:job:*:items")} - complete, 10, "staged items")
        stack.redis.delete(staged)  # as its expiry does
        raw.sendall(b"".join(lines[300:]))
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 503"), answer
    assert b"retry-after" in answer.lower()
    assert listed(stack) == before


Away = Callable[[Path], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def broken(blobs: Path) -> Iterator[None]:
    """A blob store whose every call fails: where its directory was, there is a file."""
    aside = blobs.rename(blobs.with_name("aside"))
    blobs.write_text("no directory")
    try:
        yield
    finally:
        blobs.unlink()
        aside.rename(blobs)


@contextlib.contextmanager
def not_mounted(blobs: Path) -> Iterator[None]:
    """A blob store that is not mounted: an empty directory, in which nothing may be written meanwhile."""
    aside = blobs.rename(blobs.with_name("aside"))
    blobs.mkdir()
    try:
        yield
        assert list(blobs.iterdir()) == []
    finally:
        shutil.rmtree(blobs)
        aside.rename(blobs)


@pytest.fixture(params=[broken, not_mounted], ids=["broken", "not mounted"])
def away(request: pytest.FixtureRequest) -> Away:
    found: Away = request.param
    return found


def test_a_worker_waits_for_items_in_a_blob_store_that_is_away(stack: Stack, blobs: Path, away: Away) -> None:
    work = large(3)
    (worker,) = stack.workers
    worker.send(signal.SIGSTOP)
    job_id = submit(stack, work)
    with away(blobs):
        worker.send(signal.SIGCONT)
        wait_for(lambda: "waiting: the blob store" in worker.output(), 30, "the worker to wait")
    check_undisturbed(stack, job_id, work)


def test_a_worker_waits_with_results_for_a_blob_store_that_is_away(stack: Stack, blobs: Path, away: Away) -> None:
    work = large(3)
    with replaced_worker(stack):
        worker = stack.start_worker(TOKENREWARD_SYNTHETIC_RATE="1")
        stack.wait_ready()
        job_id = submit(stack, work)
        wait_for(lambda: job(stack, job_id)["state"] == "running", 20, "the claim")
        with away(blobs):
            wait_for(lambda: "waiting: the blob store" in worker.output(), 30, "the worker to wait")
        check_undisturbed(stack, job_id, work)


def test_while_the_blob_store_is_away_nothing_is_accepted_and_results_wait(
    stack: Stack, blobs: Path, away: Away
) -> None:
    work = large(3)
    job_id = submit(stack, work)
    check_undisturbed(stack, job_id, work)
    with away(blobs):
        for refused in (
            httpx2.post(stack.url + "/v1/jobs", json={"items": work}),
            httpx2.get(f"{stack.url}/v1/jobs/{job_id}/results"),
        ):
            assert refused.status_code == 503, refused.text
            assert refused.headers["retry-after"]
    check_undisturbed(stack, job_id, work)
    assert listed(stack)[0]["id"] == job_id


def test_a_worker_without_the_blob_store_ends_and_says_why(stack: Stack) -> None:
    work = large(3)
    with replaced_worker(stack):
        job_id = submit(stack, work)
        lacking = stack.start_worker(TOKENREWARD_BLOB_URL="")
        assert lacking.wait(60) == 78, lacking.output()
        assert "set TOKENREWARD_BLOB_URL" in lacking.output().splitlines()[-1]
        shards = [keys.shard(name.decode()) for name in stack.redis.smembers(keys.job(job_id) + ":shards")]
        assert {stack.redis.hget(shard, "attempts") for shard in shards} == {b"0"}, "the shards are not to blame"
    check_undisturbed(stack, job_id, work)
