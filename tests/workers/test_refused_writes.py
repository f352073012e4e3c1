"""A store that takes no writes for a while: a worker waits for it, as for one that is away, and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from rq.serializers import JSONSerializer

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import wait_for
from tokenreward.protocol import keys
from tokenreward_workers.process.rq_worker import Doorbell, DoorbellQueue

REFUSING = [("min-replicas-to-write", 1, "NOREPLICAS"), ("maxmemory", 1, "command not allowed when used memory")]
SHARD = b"0" * 32


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("store")) as stack:
        yield stack


def queue(stack: Stack) -> DoorbellQueue:
    stack.redis.flushall()
    return DoorbellQueue("bells", connection=stack.redis, job_class=Doorbell, serializer=JSONSerializer)


@pytest.mark.parametrize(("setting", "value", "said"), REFUSING)
def test_a_refused_write_looks_to_rq_like_a_store_that_is_away(
    stack: Stack, setting: str, value: int, said: str
) -> None:
    bells = queue(stack)
    stack.redis.rpush(bells.key, SHARD)
    stack.redis.config_set(setting, value)
    try:
        with pytest.raises(redis.ConnectionError, match=said):
            DoorbellQueue.dequeue_any([bells], 1, stack.redis)
    finally:
        stack.redis.config_set(setting, 0)
    found = DoorbellQueue.dequeue_any([bells], 1, stack.redis)
    assert found is not None
    assert found[0].id == SHARD.decode()


def test_so_does_one_that_does_not_let_go_of_what_is_no_doorbell(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    bells = queue(stack)
    popped: Any = classmethod(lambda cls, connection, key, timeout: (key, b"no shard"))
    monkeypatch.setattr(DoorbellQueue, "lmove", popped)
    stack.redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(redis.ConnectionError, match="NOREPLICAS"):
            DoorbellQueue.dequeue_any([bells], 1, stack.redis)
    finally:
        stack.redis.config_set("min-replicas-to-write", 0)


def test_what_will_not_pass_stays_an_error(stack: Stack) -> None:
    bells = queue(stack)
    stack.redis.set(bells.key, "no list")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        DoorbellQueue.dequeue_any([bells], 1, stack.redis)


def test_a_worker_that_starts_meanwhile_registers_afterwards(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        stack.redis.config_set("min-replicas-to-write", 1)
        worker = stack.start_worker()
        wait_for(lambda: worker.popen.poll() is not None or "waiting: NOREPLICAS" in worker.output(), 60, "the refusal")
        assert worker.popen.poll() is None, worker.output()
        stack.redis.config_set("min-replicas-to-write", 0)
        wait_for(lambda: stack.redis.hlen(keys.MODELS), 60, "its record")
