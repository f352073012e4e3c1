"""From a submission to a job: both body types, what makes it fail, and that a failure leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest
import redis.asyncio

from benchmarks.harness.stack import Stack
from tokenreward.protocol import keys
from tokenreward.protocol.spill import Spill
from tokenreward.schema import JobOptions
from tokenreward_service.http.media_types import JSON, NDJSON
from tokenreward_service.intake.admission import AdmissionControl
from tokenreward_service.intake.coalescing import Coalescer
from tokenreward_service.intake.parsing import read_ndjson
from tokenreward_service.intake.submission import Intake, Submission
from tokenreward_service.problems import ProblemError, unavailable
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.drafts import Draft
from tokenreward_service.store.job_store import JobStore

from .conftest import FINGERPRINT, Parts

SETTINGS = ServiceSettings(max_label_items=3)
ITEM = {"prompt": "p", "response": "r"}


async def body(text: str) -> AsyncIterator[bytes]:
    for i in range(0, len(text), 1000):
        yield text[i : i + 1000].encode()


def json_body(*items: object, **options: Any) -> str:
    return json.dumps({"items": items, **options})


def intake(parts: Parts) -> Intake:
    coalescer = Coalescer(parts.store.publisher, SETTINGS)
    return Intake(parts.redis, parts.store, parts.fleet, parts.adapters, coalescer, SETTINGS)


def submission(parts: Parts, text: str, kind: str = JSON, **fields: Any) -> Submission:
    control = AdmissionControl(parts.redis, SETTINGS)
    with control.admit("owner") as admission:
        given = {"options": JobOptions(), "owner": "owner", "ttl": 60, "admission": admission} | fields
        return Submission(body=body(text), kind=kind, **given)


async def refusal(parts: Parts, submission: Submission) -> int:
    """The status of the refusal, which must leave the store as it was."""
    before = await parts.redis.dbsize()
    with pytest.raises(ProblemError) as refused:
        await intake(parts).submit(submission)
    assert await parts.redis.dbsize() == before
    return refused.value.problem.status


def test_a_json_submission_holds_its_options_itself(run) -> None:
    async def scenario(parts: Parts) -> None:
        job_id = await intake(parts).submit(submission(parts, json_body(ITEM, ITEM, template="opposite")))
        job = await parts.store.snapshots.get(job_id, "owner")
        assert job is not None
        assert (job.total_items, job.template, job.state) == (2, "opposite", "queued")
        assert await parts.redis.ttl(keys.items(job_id)) == -1, "the staging expiry is lifted"

    run(scenario)


def test_an_ndjson_submission_gets_its_options_from_outside(run) -> None:
    async def scenario(parts: Parts) -> None:
        text = "\n".join(json.dumps(ITEM) for _ in range(5))
        options = JobOptions(template="opposite")
        job_id = await intake(parts).submit(submission(parts, text, NDJSON, options=options))
        job = await parts.store.snapshots.get(job_id)
        assert job is not None
        assert (job.total_items, job.template) == (5, "opposite")

    run(scenario)


def test_a_repetition_with_the_same_key_is_the_same_job(run) -> None:
    async def scenario(parts: Parts) -> None:
        first, second = [await intake(parts).submit(submission(parts, json_body(ITEM), key="k")) for _ in range(2)]
        assert first == second
        assert await parts.redis.zcard(keys.jobs("owner")) == 1
        assert await refusal(parts, submission(parts, json_body(ITEM, ITEM), key="k")) == 422

    run(scenario)


def test_a_refused_submission_leaves_its_key_free(run) -> None:
    async def scenario(parts: Parts) -> None:
        assert await refusal(parts, submission(parts, json_body(ITEM, template="nope"), key="k")) == 422
        assert await intake(parts).submit(submission(parts, json_body(ITEM), key="k"))

    run(scenario)


def test_an_upload_that_breaks_off_leaves_nothing_staged(run) -> None:
    async def scenario(parts: Parts) -> None:
        staged = []

        async def broken() -> AsyncIterator[bytes]:
            for _ in range(60):  # what cannot be compressed is too much to be held back
                yield json.dumps({"prompt": os.urandom(50_000).hex(), "response": "r"}).encode() + b"\n"
            staged.extend(await parts.redis.keys(keys.glob("items")))
            raise ConnectionResetError

        control = AdmissionControl(parts.redis, SETTINGS)
        with control.admit("owner") as admission, pytest.raises(ConnectionResetError):
            await intake(parts).submit(Submission(broken(), NDJSON, JobOptions(), "owner", 60, admission))
        assert len(staged) == 1
        assert await parts.redis.keys(keys.glob("items")) == []

    run(scenario)


def test_an_interactive_submission_needs_few_items_and_a_live_worker(run) -> None:
    async def scenario(parts: Parts) -> None:
        one = json_body(ITEM)
        assert await refusal(parts, submission(parts, one, interactive=True)) == 503
        await parts.register(FINGERPRINT, alive=True)
        assert await refusal(parts, submission(parts, json_body(*[ITEM] * 4), interactive=True)) == 413
        job_id = await intake(parts).submit(submission(parts, one, interactive=True))
        (shard,) = await parts.redis.smembers(keys.shards(job_id))
        assert await parts.redis.hget(keys.shard(shard.decode()), "front") == b"1", "it overtakes bulk work"

    run(scenario)


def test_a_dry_submission_is_counted_and_stores_nothing(run) -> None:
    async def scenario(parts: Parts) -> None:
        before = await parts.redis.dbsize()
        draft = await intake(parts).read(submission(parts, json_body(ITEM, ITEM, 7), dry=True))
        assert (draft.total, draft.invalid) == (3, 1)
        assert draft.estimated > 0
        assert await parts.redis.dbsize() == before

    run(scenario)


def test_a_line_that_is_too_long_is_refused_however_its_bytes_arrive() -> None:
    settings = ServiceSettings(max_item_chars=1000)
    line = b'{"prompt":"p","response":"' + b"x" * 150_000 + b'"}\n'

    async def read(*chunks: bytes) -> None:
        async def body() -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

        async for _ in read_ndjson(body(), settings):
            pass

    for chunks in ([line], [line[:100_000], line[100_000:]], [b"\n" + line]):
        with pytest.raises(ProblemError, match="too long"):
            asyncio.run(read(*chunks))


class Unconfirmed:
    """Replicas that have confirmed nothing in time."""

    async def have(self, job_id: str) -> None:
        raise unavailable("No replica of the job store has confirmed this job in time. Send it again.", 5)


@pytest.mark.parametrize("interactive", [False, True])
def test_without_a_key_nothing_is_left_of_a_job_that_no_replica_confirmed(run, interactive: bool) -> None:
    async def scenario(parts: Parts) -> None:
        lonely = replace(parts, store=replace(parts.store, replicas=Unconfirmed()))
        await parts.register(FINGERPRINT, alive=True)
        with pytest.raises(ProblemError, match="No replica"):
            await intake(lonely).submit(submission(parts, json_body(ITEM), interactive=interactive))
        left = {key async for key in parts.redis.scan_iter(match="tr:*")}
        assert await parts.store.snapshots.page("owner", 10) == []
        assert not [key for key in left if key.startswith((b"tr:job:", b"tr:shard:"))], left

    run(scenario)


def test_it_is_removed_where_it_was_published_if_another_client_still_asks_the_former_primary(
    run, server: Stack
) -> None:
    async def scenario(parts: Parts) -> None:
        async with redis.asyncio.Redis.from_url(server.redis_url, db=1) as former:
            pool: Any = former.connection_pool
            pool.replicas = AsyncMock(return_value=frozenset())
            store = JobStore.on(former, parts.sync, Spill(None, 1), behind_sentinels=True)
            with pytest.raises(ProblemError, match="has not got this job"):
                await intake(replace(parts, store=store)).submit(submission(parts, json_body(ITEM)))
        left = [key async for key in parts.redis.scan_iter(match="tr:*")]
        assert not [key for key in left if key.startswith((b"tr:job:", b"tr:shard:"))], left

    run(scenario)


def test_with_a_key_it_is_kept_and_the_key_finds_it(run) -> None:
    async def scenario(parts: Parts) -> None:
        lonely = replace(parts, store=replace(parts.store, replicas=Unconfirmed()))
        for _ in range(2):
            with pytest.raises(ProblemError, match="503"):
                await intake(lonely).submit(submission(lonely, json_body(ITEM), key="mine"))
        (kept,) = await parts.store.snapshots.page("owner", 10)
        assert await intake(parts).submit(submission(parts, json_body(ITEM), key="mine")) == kept.id

    run(scenario)


@pytest.mark.parametrize("way", ["bulk", "with a key", "interactive"])
def test_a_job_of_which_a_failover_took_the_last_items_is_not_published(
    run, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("tokenreward_service.store.drafts._HELD_BYTES", 0)

    async def scenario(parts: Parts) -> None:
        await parts.register(FINGERPRINT, alive=True)
        drafts = parts.store.drafts
        confirm = drafts.confirm

        async def confirmed_before(draft: Draft) -> None:
            await confirm(draft)
            await parts.redis.hdel(keys.items(draft.id), 0)

        fields = {"key": "mine"} if way == "with a key" else {"interactive": way == "interactive"}
        with monkeypatch.context() as patch:
            patch.setattr(drafts, "confirm", confirmed_before)
            with pytest.raises(ProblemError, match="503"):
                await intake(parts).submit(submission(parts, json_body(ITEM), **fields))
        left = {key async for key in parts.redis.scan_iter(match="tr:*")}
        assert not [key for key in left if key.startswith((b"tr:job:", b"tr:shard:", b"tr:idem:"))], left
        assert await intake(parts).submit(submission(parts, json_body(ITEM), **fields))
        assert len(await parts.store.snapshots.page("owner", 10)) == 1

    run(scenario)
