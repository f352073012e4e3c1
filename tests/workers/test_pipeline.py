"""The worker's threads together, in this process, against a real job store."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import wait_for
from tests.support.worker_shards import FINGERPRINT, put, scoring_options
from tokenreward.protocol import keys
from tokenreward.protocol.records import Shard, dump_shards
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.spill import Spill
from tokenreward_workers.engines.synthetic import VOCABULARY, SyntheticEngine, SyntheticSettings, chat_format
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.shards.pipeline import Pipeline
from tokenreward_workers.store.job_store import JobStoreClient


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("store")) as stack:
        yield stack


class Worker:
    def __init__(self, stack: Stack, settings: SyntheticSettings) -> None:
        self.redis = stack.redis
        self.redis.flushall()
        self.store = JobStoreClient(self.redis, "w", FINGERPRINT.digest, Spill(None, 1), 20)
        self.errors: list[BaseException] = []
        self.pipeline = Pipeline(
            SyntheticEngine(settings),
            Renderer(chat_format(), 2_000, VOCABULARY),
            self.store,
            cache_ttl=0,
            tokens_per_second=None,
            on_fatal=self.errors.append,
        )
        self.pipeline.start()

    def queue(self, *responses: str, attempts: int = 0, front: bool = False) -> str:
        """Queue a shard, which is a job of its own. Returns the id of both."""
        shard = Shard(fp=FINGERPRINT.digest, members=[], attempts=attempts, front=front)
        fields = {"state": "queued", "version": 1, "done": 0, "failed": 0, "tokens": 0, "total": len(responses)}
        self.redis.hset(keys.job(shard.id), mapping=fields | {"options": scoring_options().model_dump_json()})
        shard = shard.model_copy(update={"members": [put(self.store, shard.id, list(responses))]})
        Scripts(self.redis).queue(args=[dump_shards([shard])])
        return shard.id

    def state(self, job: str) -> str:
        return (self.redis.hget(keys.job(job), "state") or b"").decode()

    def done(self, *jobs: str) -> bool:
        return all(self.state(job) == "succeeded" for job in jobs)


def test_shards_claimed_together_are_scored_and_committed(valkey: Stack) -> None:
    worker = Worker(valkey, SyntheticSettings())
    jobs = [worker.queue("a", "b"), worker.queue("c"), worker.queue("a")]
    assert worker.pipeline.claim(len(jobs))
    wait_for(lambda: worker.done(*jobs), 10, "the end")
    wait_for(lambda: worker.pipeline.held.all() == [], 10, "the committer to let go")
    assert not worker.pipeline.claim(len(jobs)), "a second time there is nothing to be had"
    worker.pipeline.drain(10)


def test_each_shard_is_committed_when_its_own_last_item_is_done(valkey: Stack) -> None:
    worker = Worker(valkey, SyntheticSettings(rate=10))
    first, second = worker.queue("a"), worker.queue(*"bcdefghijk")
    worker.pipeline.claim(2)
    wait_for(lambda: worker.done(first), 10, "the first")
    assert worker.state(second) == "running"
    worker.pipeline.drain(20)
    assert worker.done(second), "what was begun is finished"


def test_what_was_not_begun_is_handed_back_when_the_worker_stops(valkey: Stack) -> None:
    worker = Worker(valkey, SyntheticSettings(rate=4))
    begun, untouched = worker.queue(*"abcd"), worker.queue(*"efgh")
    worker.pipeline.claim(2)
    wait_for(lambda: worker.pipeline.throughput.tokens, 10, "the first item")
    worker.pipeline.drain(20)
    assert worker.done(begun)
    assert worker.redis.hmget(keys.shard(untouched), "state", "attempts") == [b"queued", b"0"]
    assert not worker.errors


def test_the_store_knows_which_suspect_the_engine_is_at_and_when_it_is_done_with_it(valkey: Stack) -> None:
    worker = Worker(valkey, SyntheticSettings(rate=5))
    suspect, other = worker.queue("a", "b", attempts=1), worker.queue("c")
    worker.pipeline.claim(2)
    wait_for(lambda: worker.redis.get("tr:scoring:w") == suspect.encode(), 10, "the mark")
    assert worker.state(other) == "running"
    wait_for(lambda: worker.done(suspect, other), 20, "the end")
    assert worker.redis.get("tr:scoring:w") == b""
    worker.pipeline.drain(10)


def test_a_bug_in_the_engine_is_blamed_on_what_was_in_it_and_the_rest_is_handed_back(valkey: Stack) -> None:
    worker = Worker(valkey, SyntheticSettings(rate=5, bug=tuple(b"bug")))
    healthy, culprit, waiting = worker.queue("a"), worker.queue("b", "a bug", *"cdef"), worker.queue("g")
    worker.pipeline.claim(3)
    wait_for(lambda: worker.errors, 10, "the bug")
    worker.pipeline.drain(5)
    assert worker.done(healthy)
    assert worker.redis.hget(keys.shard(culprit), "state") == b"claimed", "its worker is gone: an attempt"
    assert worker.redis.get("tr:scoring:w") == culprit.encode()
    assert worker.redis.hmget(keys.shard(waiting), "state", "attempts") == [b"queued", b"0"]


def test_interactive_work_overtakes_what_was_claimed_before_it(valkey: Stack) -> None:
    worker = Worker(valkey, SyntheticSettings(rate=5))
    bulk, quick = worker.queue(*"abcdefghij"), worker.queue("k", front=True)
    worker.pipeline.claim(1)
    wait_for(lambda: worker.pipeline.throughput.tokens, 10, "the first item")
    worker.pipeline.claim(1)
    wait_for(lambda: worker.done(quick), 10, "the quick one")
    assert worker.state(bulk) == "running"
    worker.pipeline.drain(20)


def test_a_cancelled_shard_leaves_the_engine(valkey: Stack) -> None:
    worker = Worker(valkey, SyntheticSettings(rate=1))
    doomed, other = worker.queue(*"abcdefghij" * 3), worker.queue("k")
    worker.pipeline.claim(2)
    time.sleep(0.2)
    Scripts(worker.redis).cancel(args=[doomed])
    wait_for(lambda: worker.done(other), 10, "the other")
    worker.pipeline.drain(10)
