"""How full the job store is: the service and the workers measure it alike, by the service's limit."""

from __future__ import annotations

import pytest
import redis

from benchmarks.harness.stack import Stack
from tokenreward.protocol import keys
from tokenreward.protocol.memory import StoreMemory, read_memory, read_memory_async, store_share
from tokenreward.protocol.spill import Spill
from tokenreward_service.intake.admission import AdmissionControl
from tokenreward_service.problems import ProblemError
from tokenreward_service.settings import ServiceSettings
from tokenreward_workers.store.job_store import JobStoreClient

from .conftest import Parts


@pytest.mark.parametrize(
    ("memory", "share"),
    [
        (StoreMemory(used=50), 0.0),
        (StoreMemory(used=50, maxmemory=200), 0.25),
        (StoreMemory(used=50, maxmemory=200, store_limit=100), 0.5),
        (StoreMemory(used=50, store_limit=100), 0.5),
    ],
)
def test_the_share_is_of_the_services_limit_or_else_of_redis_own(memory: StoreMemory, share: float) -> None:
    assert memory.share == share


def test_both_clients_read_the_same_limits(run) -> None:
    async def scenario(parts: Parts) -> None:
        await parts.redis.set(keys.STORE_LIMIT, 10**12)
        there, here = await read_memory_async(parts.redis), read_memory(parts.sync)
        assert there.store_limit == here.store_limit == 10**12
        assert there.maxmemory == here.maxmemory == 0
        assert 0 < store_share(parts.sync) < 0.01
        await parts.redis.set(keys.STORE_LIMIT, "forged")
        assert store_share(parts.sync) == 0.0

    run(scenario)


def test_workers_measure_by_the_limit_that_the_service_was_given(run) -> None:
    async def scenario(parts: Parts) -> None:
        worker = JobStoreClient(parts.sync, "w", "fp", Spill(None, 1), 20)
        assert worker.memory_share() == 0.0
        used = int((await parts.redis.info("memory"))["used_memory"])
        await AdmissionControl(parts.redis, ServiceSettings(max_store_bytes=2 * used)).check()
        assert worker.memory_share() == pytest.approx(0.5, abs=0.2)
        await AdmissionControl(parts.redis, ServiceSettings()).check()
        assert worker.memory_share() == 0.0, "the limit was taken away again"

    run(scenario)


def test_a_store_that_takes_no_writes_is_too_full_and_not_broken(run) -> None:
    async def scenario(parts: Parts) -> None:
        await parts.redis.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(ProblemError) as refused:
                await AdmissionControl(parts.redis, ServiceSettings(max_store_bytes=1)).check()
            assert refused.value.problem.status == 429
        finally:
            await parts.redis.config_set("maxmemory", "0")

    run(scenario)


#: The rules for workers that release 0.1.0 wrote. They stay as they are when a deployment is upgraded.
RULES_OF_0_1_0 = (
    "resetchannels &tr:events ~tr:job:* ~tr:idem:* ~tr:shard:* ~tr:queued:* ~tr:front:* ~tr:claimed ~tr:scoring:*"
    " ~tr:worker:* ~tr:workers ~tr:models ~tr:cache:* ~rq:* +@read +@write +@connection +@transaction +@scripting"
    " -@admin -@dangerous -keys +info +time +client|list +client|setname +client|setinfo +publish"
)


def test_a_worker_of_a_deployment_that_was_upgraded_may_read_the_limit(run, server: Stack) -> None:
    async def scenario(parts: Parts) -> None:
        used = int((await parts.redis.info("memory"))["used_memory"])
        await AdmissionControl(parts.redis, ServiceSettings(max_store_bytes=2 * used)).check()
        await parts.redis.execute_command("ACL", "SETUSER", "old", "on", ">secret", *RULES_OF_0_1_0.split())
        try:
            with redis.Redis.from_url(server.redis_url, username="old", password="secret") as client:
                worker = JobStoreClient(client, "w", "fp", Spill(None, 1), 20)
                assert worker.memory_share() == pytest.approx(0.5, abs=0.2)
        finally:
            await parts.redis.execute_command("ACL", "DELUSER", "old")

    run(scenario)
