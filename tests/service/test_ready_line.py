"""Whom `tokenreward serve` takes for the worker that it started."""

from __future__ import annotations

from tokenreward.protocol import keys
from tokenreward_service.serving import _newcomer, _workers

from .conftest import FINGERPRINT, Parts


def test_a_worker_of_before_a_crash_is_not_the_one_that_is_ready(run, server) -> None:
    async def scenario(parts: Parts) -> None:
        await parts.redis.zadd(keys.WORKERS, {"dead": 1})
        former = _workers(server.redis_url)
        assert former == {b"dead"}
        await parts.redis.set(keys.worker("dead"), "{}")
        await parts.redis.zadd(keys.WORKERS, {"never-registered": 2})
        assert _newcomer(parts.sync, former) is None
        await parts.register(FINGERPRINT, alive=True)
        found = _newcomer(parts.sync, former)
        assert found is not None
        assert found.id == "w"

    run(scenario)
