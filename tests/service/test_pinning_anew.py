"""Jobs that wait for a set-up which nobody serves: they say so, and a retry pins them to another one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.stack import Stack, http
from benchmarks.harness.waiting import wait_for
from tests.support.jobs import items, job, results, submit
from tests.support.next_version import next_version
from tokenreward import Client, cli
from tokenreward.protocol import doorbell, keys
from tokenreward.protocol.arrow_blobs import Entry, pack_failures, pack_results
from tokenreward.protocol.records import JobSlice, Shard, commit_args
from tokenreward.schema import Fingerprint, ItemFailure, ItemResult, Job
from tokenreward.schema.provenance import TOKEN_CLASSIFIER
from tokenreward_service.problems import ProblemError
from tokenreward_service.results.ordering import Selection, View
from tokenreward_service.results.pinning_anew import pin_anew
from tokenreward_service.store.unserved import instead

from .conftest import FINGERPRINT, Parts

pytestmark = pytest.mark.processes

OTHER = FINGERPRINT.model_copy(update={"engine_version": "2"})
REWARDED = pack_results([ItemResult(index=0, id="0", token_ids=[1], rewards=[0.25])])
FAILED = pack_failures(0, [Entry("0")], ItemFailure(code="too_long", message="9 tokens, the model takes 8"))


async def waiting_job(parts: Parts, count: int = 1) -> tuple[Job, str]:
    """A job of FINGERPRINT, which nobody serves, beside a live worker of OTHER; and its shard."""
    job_id, shard = await parts.publish(count)
    await parts.register(OTHER, alive=True)
    found = await parts.store.snapshots.get(job_id)
    assert found is not None
    return found, shard


async def pinned(parts: Parts, found: Job) -> bool:
    (model,) = instead(found, await parts.fleet.look())
    return await pin_anew(parts.store, found, model)


async def fingerprint_of(parts: Parts, job_id: str) -> Fingerprint:
    found = await parts.store.snapshots.get(job_id)
    assert found is not None
    return found.provenance.fingerprint


async def commit(parts: Parts, shard: str, job_id: str, blob: bytes, failed: int = 0) -> int:
    member = JobSlice(job=job_id, slice=0, offset=0, count=1)
    return int(await parts.scripts.commit(args=commit_args(shard, [(member, failed, 1, blob)])))


def test_a_job_says_that_nobody_serves_its_set_up_and_what_is_served_instead(run) -> None:
    async def scenario(parts: Parts) -> None:
        found, _ = await waiting_job(parts)
        assert found.waiting is not None
        assert found.waiting.model == f"tiny@{FINGERPRINT.digest}"
        assert found.waiting.served == [f"tiny@{OTHER.digest}"]
        assert found.waiting.retry
        assert f"waits for tiny@{FINGERPRINT.digest}, which nobody serves any more" in found.waiting.message
        assert (await parts.store.snapshots.page("owner", 10))[0].waiting == found.waiting

    run(scenario)


def test_a_job_whose_set_up_is_served_and_one_that_is_over_wait_for_nobody(run) -> None:
    async def scenario(parts: Parts) -> None:
        served, _ = await parts.publish()
        await parts.register(FINGERPRINT, alive=True)
        over, _ = await parts.publish()
        await parts.store.cancel(over)
        for job_id in (served, over):
            found = await parts.store.snapshots.get(job_id)
            assert found is not None
            assert found.waiting is None

    run(scenario)


def test_another_model_is_no_set_up_of_this_one(run) -> None:
    async def scenario(parts: Parts) -> None:
        job_id, _ = await parts.publish()
        await parts.register(FINGERPRINT.model_copy(update={"model": "large"}), alive=True)
        found = await parts.store.snapshots.get(job_id)
        assert found is not None
        assert found.waiting is not None
        assert (found.waiting.served, found.waiting.retry) == ([], False)
        assert "no other set-up of tiny is served" in found.waiting.message
        assert instead(found, await parts.fleet.look()) == []

    run(scenario)


def test_a_set_up_that_the_jobs_estimator_cannot_use_is_none_to_pin_it_to(run) -> None:
    async def scenario(parts: Parts) -> None:
        found, _ = await waiting_job(parts)
        judge = OTHER.model_copy(update={"engine": "transformers", "head": TOKEN_CLASSIFIER})
        await parts.register(judge, alive=True)
        assert instead(found, await parts.fleet.look()) == []

    run(scenario)


def test_a_job_is_pinned_anew_with_all_its_items_and_a_provenance_to_match(run) -> None:
    async def scenario(parts: Parts) -> None:
        found, old_shard = await waiting_job(parts, 3)
        assert await pinned(parts, found)
        after = await parts.store.snapshots.get(found.id)
        assert after is not None
        assert after.provenance.fingerprint == OTHER
        assert after.provenance.fingerprint_digest == OTHER.digest
        assert after.provenance.template_hash == found.provenance.template_hash
        assert (after.state, after.total_items, after.done_items, after.waiting) == ("queued", 3, 0, None)
        assert after.version > found.version
        (new_shard,) = doorbell.queue(OTHER.digest, parts.sync).job_ids
        assert not await parts.scripts.claim(args=["", "old", 60, old_shard])
        claim = json.loads(await parts.scripts.claim(args=["", "w", 60, new_shard]))
        assert [member["count"] for member in claim["members"]] == [3]
        assert json.loads(claim["jobs"][found.id])["provenance"]["fingerprint_digest"] == OTHER.digest

    run(scenario)


def test_what_a_worker_of_the_former_set_up_still_holds_never_reaches_the_job(run) -> None:
    async def scenario(parts: Parts) -> None:
        found, shard = await waiting_job(parts)
        await parts.claim(shard, "back")  # between the look at the fleet and the retry
        assert await pinned(parts, found)
        assert await commit(parts, shard, found.id, REWARDED) == 0
        after = await parts.store.snapshots.get(found.id)
        assert after is not None
        assert (after.state, after.done_items, after.started_at) == ("queued", 0, None)
        assert await parts.store.payloads.ranges(found.id, 0) == []

    run(scenario)


def test_rewards_that_came_first_keep_the_job_where_it_is(run) -> None:
    async def scenario(parts: Parts) -> None:
        draft = await parts.draft(2)
        shards = [
            shard.model_copy(update={"members": [JobSlice(job=draft.id, slice=0, offset=n, count=1)]})
            for n, shard in enumerate([shard_of(draft.id), shard_of(draft.id)])
        ]
        await parts.store.publisher.publish([draft], shards)
        await parts.register(OTHER, alive=True)
        found = await parts.store.snapshots.get(draft.id)
        assert found is not None
        await parts.claim(shards[0].id, "back")
        assert await commit(parts, shards[0].id, draft.id, REWARDED) == 1
        assert not await pinned(parts, found)
        after = await parts.store.snapshots.get(draft.id)
        assert after is not None
        assert after.provenance.fingerprint == FINGERPRINT
        assert after.waiting is not None
        assert not after.waiting.retry
        assert "1 items have rewards of the former" in after.waiting.message

    run(scenario)


def test_errors_of_the_former_set_up_are_forgotten(run) -> None:
    async def scenario(parts: Parts) -> None:
        found, shard = await waiting_job(parts)
        await parts.claim(shard, "old")
        assert await commit(parts, shard, found.id, FAILED, failed=1) == 1
        over = await parts.store.snapshots.get(found.id)
        assert over is not None
        assert (over.state, over.failed_items) == ("succeeded", 1)
        assert await pinned(parts, over)
        after = await parts.store.snapshots.get(found.id)
        assert after is not None
        assert (after.state, after.done_items, after.failed_items) == ("queued", 0, 0)
        assert parts.sync.ttl(keys.job(found.id)) == -1

    run(scenario)


def test_of_two_retries_at_once_one_pins_the_job(run) -> None:
    async def scenario(parts: Parts) -> None:
        found, _ = await waiting_job(parts)
        assert [await pinned(parts, found), await pinned(parts, found)] == [True, False]
        assert len(parts.sync.smembers(keys.shards(found.id))) == 1

    run(scenario)


def test_a_job_that_was_removed_is_not_made_again(run) -> None:
    async def scenario(parts: Parts) -> None:
        found, _ = await waiting_job(parts)
        await parts.store.purge(found.id)
        assert not await pinned(parts, found)
        assert not parts.sync.exists(keys.job(found.id))

    run(scenario)


def test_other_jobs_of_a_shared_shard_stay_where_they_are(run) -> None:
    async def scenario(parts: Parts) -> None:
        drafts = [await parts.draft(), await parts.draft()]
        shard = shard_of(drafts[0].id, drafts[1].id)
        await parts.store.publisher.publish(drafts, [shard])
        await parts.register(OTHER, alive=True)
        found = await parts.store.snapshots.get(drafts[0].id)
        assert found is not None
        assert await pinned(parts, found)
        assert await fingerprint_of(parts, drafts[1].id) == FINGERPRINT
        claim = json.loads(await parts.scripts.claim(args=["", "old", 60, shard.id]))
        assert [member["job"] for member in claim["members"]] == [drafts[1].id]

    run(scenario)


def test_results_never_end_with_the_provenance_of_another_set_up(run) -> None:
    async def scenario(parts: Parts) -> None:
        found, _ = await waiting_job(parts)
        reading = Selection(parts.store.payloads, found, View())
        assert await pinned(parts, found)
        assert [table async for table in reading.tables()] == []
        with pytest.raises(ProblemError, match="pinned to another set-up"):
            await reading.end()

    run(scenario)


def shard_of(*jobs: str) -> Shard:
    return Shard(fp=FINGERPRINT.digest, members=[JobSlice(job=name, slice=0, offset=0, count=1) for name in jobs])


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, {"TOKENREWARD_CACHE_TTL_SECONDS": "0"}) as made:
        made.start_api()
        yield made


def test_a_job_goes_from_workers_that_left_to_those_that_came(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    first = stack.start_worker()
    stack.wait_ready()
    first.stop()
    work = items(5)
    old = submit(stack, work, model="synthetic")
    wait_for(lambda: job(stack, old)["waiting"], 20, "the job to say that it waits")
    assert http.post(f"{stack.url}/v1/jobs/{old}/retry").status_code == 409
    former = job(stack, old)["provenance"]["fingerprint_digest"]

    next_version(stack)
    stack.wait_ready()
    seen = wait_for(lambda: (now := job(stack, old)["waiting"]) and now["served"] and now, 20, "another set-up")
    assert seen["retry"]
    assert cli.main(["jobs", "show", old, "--url", stack.url]) == 0
    assert f"waiting    waits for synthetic@{former}, which nobody serves any more" in capsys.readouterr().out
    assert cli.main(["jobs", "list", "--url", stack.url]) == 0
    assert f"(nobody serves synthetic@{former})" in capsys.readouterr().out

    assert cli.main(["jobs", "retry", old, "--url", stack.url]) == 0
    assert f"5 items are scored again by {seen['served'][0]}" in capsys.readouterr().out
    stack.start_worker()  # the former set-up comes back
    with Client(stack.url) as client:
        ended = client.jobs.wait(old, timeout=60)
        assert (ended.state, ended.failed_items, ended.waiting) == ("succeeded", 0, None)
        assert f"synthetic@{ended.provenance.fingerprint_digest}" == seen["served"][0]
    assert [row["id"] for row in results(stack, old)] == [item["id"] for item in work]
    end = json.loads(http.get(f"{stack.url}/v1/jobs/{old}/results").text.splitlines()[-1])
    assert end["provenance"]["fingerprint"]["engine_version"] == "2"


def test_the_event_stream_tells_when_a_job_begins_to_wait(stack: Stack) -> None:
    worker = stack.start_worker()
    stack.wait_ready()
    worker.send(19)  # it is alive, and takes nothing
    held = submit(stack, items(1))
    with http.stream("GET", f"{stack.url}/v1/jobs/{held}/events") as events:
        lines = (line for line in events.iter_lines() if line.startswith("data:"))
        assert json.loads(next(lines)[5:])["waiting"] is None
        stack.redis.delete(*[keys.worker(name.decode()) for name in stack.redis.zrange(keys.WORKERS, 0, -1)])
        later = json.loads(next(lines)[5:])
    worker.kill()
    assert later["waiting"]["message"].startswith("waits for synthetic@")
