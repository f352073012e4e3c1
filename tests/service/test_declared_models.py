"""Declared models: a job for one of them is accepted before anybody has served it, and finds its first worker."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from tokenreward.protocol import keys
from tokenreward.protocol.records import Corrupt
from tokenreward.schema import Fingerprint, JobOptions
from tokenreward_service.fleet import Fleet, awaited
from tokenreward_service.intake.admission import AdmissionControl
from tokenreward_service.intake.pinning import plan
from tokenreward_service.monitoring.metrics import page
from tokenreward_service.monitoring.request_log import RequestFigures
from tokenreward_service.problems import ProblemError
from tokenreward_service.recovery.first_worker import FirstWorker
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.publishing import shards_of
from tokenreward_service.store.unserved import waiting

from .conftest import FINGERPRINT, Parts

LATER = FINGERPRINT.model_copy(update={"model": "later"})


async def declare(parts: Parts, items: int = 1) -> tuple[Fleet, str]:
    """A fleet with `later` declared, and a job for it."""
    fleet = Fleet(parts.redis, ["later", "tiny"])
    draft = await parts.draft(items, awaited("later").fingerprint, fleet)
    await parts.store.publisher.publish([draft], shards_of(draft))
    return fleet, draft.id


def test_a_declared_model_is_listed_without_workers_until_somebody_serves_it(run) -> None:
    async def scenario(parts: Parts) -> None:
        fleet = Fleet(parts.redis, ["later", "tiny"])
        listed = {info.name: info.fingerprint for info in await fleet.models()}
        assert listed == {"tiny": FINGERPRINT, "later": awaited("later").fingerprint}
        await parts.register(LATER)
        assert {info.name: info.fingerprint for info in await fleet.models()} == {"tiny": FINGERPRINT, "later": LATER}

    run(scenario)


def test_a_model_that_is_not_declared_is_unknown(run) -> None:
    async def scenario(parts: Parts) -> None:
        with pytest.raises(ProblemError) as refused:
            await plan(JobOptions(model="typo"), Fleet(parts.redis, ["later"]), parts.adapters)
        assert "known: later, tiny" in str(refused.value.problem.detail)

    run(scenario)


@pytest.mark.parametrize("estimator", ["contrast", "tlcr"])
def test_no_estimator_is_refused_for_a_model_that_nobody_has_seen(run, estimator: str) -> None:
    async def scenario(parts: Parts) -> None:
        fleet = Fleet(parts.redis, ["later"])
        found = await plan(JobOptions(model="later", estimator=estimator), fleet, parts.adapters)
        assert found.scoring.provenance.fingerprint == awaited("later").fingerprint

    run(scenario)


def test_its_job_waits_in_a_queue_that_the_metrics_count_and_says_for_what(run) -> None:
    async def scenario(parts: Parts) -> None:
        fleet, job_id = await declare(parts)
        shown = await page(parts.redis, fleet, RequestFigures())
        label = f'model="later",fingerprint="{awaited("later").fingerprint_digest}"'
        assert f"tokenreward_queue_shards{{{label}}} 1\n" in shown
        assert f"tokenreward_claimed_shards{{{label}}} 0\n" in shown
        job = await parts.store.snapshots.get(job_id)
        assert job is not None
        why = waiting(job, await fleet.look())
        assert why is not None
        assert why.message == "waits for the first worker of later"

    run(scenario)


def test_its_first_worker_gets_every_job_that_waits_and_another_models_worker_gets_none(run) -> None:
    async def scenario(parts: Parts) -> None:
        fleet, job_id = await declare(parts, items=3)
        first = FirstWorker(parts.redis, parts.store, fleet, ["later", "tiny"])
        await parts.register(FINGERPRINT, alive=True)
        await first.pin_waiting()
        assert await fingerprint_of(parts, job_id) == awaited("later").fingerprint
        await parts.register(LATER, alive=True)
        await first.pin_waiting()
        assert await fingerprint_of(parts, job_id) == LATER
        assert await parts.redis.zcard(keys.queued(awaited("later").fingerprint_digest)) == 0
        (shard,) = await parts.redis.zrange(keys.queued(LATER.digest), 0, -1)
        await parts.claim(shard.decode(), "w")

    run(scenario)


def test_a_cancelled_job_is_not_brought_back_and_an_unreadable_one_holds_up_nobody(run) -> None:
    async def scenario(parts: Parts) -> None:
        fleet, cancelled = await declare(parts)
        _, broken = await declare(parts)
        _, right = await declare(parts)
        first = FirstWorker(parts.redis, parts.store, fleet, ["later"])
        waiting = await first._jobs(awaited("later").fingerprint_digest)
        assert set(waiting) == {cancelled, broken, right}
        await parts.scripts.cancel(args=[cancelled])
        await parts.redis.hset(keys.job(broken), "options", "{")
        await parts.register(LATER, alive=True)
        for job_id in waiting:  # as a round that had listed them before
            with contextlib.suppress(Corrupt):
                await first._pin(job_id, (await fleet.models())[0])
        await first.pin_waiting()
        job = await parts.store.snapshots.get(cancelled)
        assert job is not None
        assert job.state == "cancelled"
        assert await fingerprint_of(parts, right) == LATER

    run(scenario)


def test_the_shards_of_a_pinned_job_count_with_their_tokens(run) -> None:
    async def scenario(parts: Parts) -> None:
        fleet, _ = await declare(parts, items=3)
        await parts.register(LATER, alive=True)
        await FirstWorker(parts.redis, parts.store, fleet, ["later"]).pin_waiting()
        (shard,) = await parts.redis.zrange(keys.queued(LATER.digest), 0, -1)
        assert int(await parts.redis.hget(keys.shard(shard.decode()), "estimated")) == 30

    run(scenario)


def test_shards_that_wait_for_a_first_worker_count_as_waiting(run) -> None:
    async def scenario(parts: Parts) -> None:
        await declare(parts)
        control = AdmissionControl(parts.redis, ServiceSettings(declared_models="later", max_queued_shards=1))
        with pytest.raises(ProblemError, match="Too busy"):
            await control.check()

    run(scenario)


async def fingerprint_of(parts: Parts, job_id: str) -> Any:
    job = await parts.store.snapshots.get(job_id)
    assert job is not None
    return job.provenance.fingerprint


def test_the_setting_is_a_list_of_names() -> None:
    assert ServiceSettings(declared_models=" a, b,").declared == ("a", "b")
    assert ServiceSettings().declared == ()


def test_an_awaited_set_up_is_never_taken_for_a_served_one() -> None:
    other = Fingerprint(
        model="later", model_hash="x", tokenizer_hash="y", engine="vllm", engine_version="1", dtype="bfloat16"
    )
    assert awaited("later").fingerprint_digest not in (other.digest, awaited("later2").fingerprint_digest)
