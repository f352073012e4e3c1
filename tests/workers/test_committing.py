"""Claims and commits against a real job store: several shards in one round trip, each exactly once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
import redis

from benchmarks.harness.stack import Stack
from tests.support.worker_shards import FINGERPRINT, give_rows, put, scoring_options
from tokenreward.protocol import keys
from tokenreward.protocol.records import Shard, dump_shards
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.spill import Spill
from tokenreward_workers.engines.synthetic import VOCABULARY, chat_format
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.committing import Committer
from tokenreward_workers.shards.held_shards import HeldShards
from tokenreward_workers.shards.logprob_cache import LogprobCache
from tokenreward_workers.shards.preparing import Preparer
from tokenreward_workers.shards.throughput import Throughput
from tokenreward_workers.store.job_store import JobStoreClient, MemberOutcome


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("store")) as stack:
        yield stack


class Worker:
    """What a worker has of a job store, and what the service would have put there."""

    def __init__(self, stack: Stack) -> None:
        self.redis = stack.redis
        self.redis.flushall()
        self.store = JobStoreClient(self.redis, "w", FINGERPRINT.digest, Spill(None, 1), 20)
        self.held, self.done, self.cache = HeldShards(), Throughput(), LogprobCache(self.store, 60)
        self.renderer = Renderer(chat_format(), 2_000, VOCABULARY)
        self.committer = Committer(self.store, self.renderer, self.cache, self.held, self.done, threading.Event())

    def queue(self, *jobs: str) -> list[str]:
        """One shard of two items for each job. Returns the shards' ids."""
        shards = []
        for job in jobs:
            fields = {"state": "queued", "version": 1, "done": 0, "failed": 0, "tokens": 0, "total": 2}
            self.redis.hset(keys.job(job), mapping=fields | {"options": scoring_options().model_dump_json()})
            shards.append(Shard(fp=FINGERPRINT.digest, members=[put(self.store, job, ["a", job])]))
        Scripts(self.redis).queue(args=[dump_shards(shards)])
        return [shard.id for shard in shards]

    def score(self, ids: Sequence[str]) -> list[ClaimedShard]:
        shards = [ClaimedShard(claim) for claim in self.store.claim(len(ids))]
        for shard in shards:
            self.held.add(shard)
        Preparer(self.store, self.renderer, self.cache).prepare(shards)
        for shard in shards:
            give_rows(shard)
        return shards

    def state(self, job: str) -> tuple[bytes, ...]:
        return tuple(self.redis.hmget(keys.job(job), "state", "done", "failed"))


@pytest.fixture
def worker(valkey: Stack) -> Worker:
    return Worker(valkey)


def test_several_shards_are_claimed_at_once_and_none_by_two_workers(worker: Worker) -> None:
    first, second = worker.queue("one", "two")
    other = JobStoreClient(worker.redis, "other", FINGERPRINT.digest, Spill(None, 1), 20)
    assert [claim.shard for claim in other.claim(1)] == [first]
    assert [claim.shard for claim in worker.store.claim(3)] == [second]


def test_a_shard_whose_record_was_forged_does_not_take_its_neighbours_along(worker: Worker) -> None:
    forged, fine = worker.queue("one", "two")
    worker.redis.hset(keys.shard(forged), "members", "{not json")
    assert [claim.shard for claim in worker.store.claim(2)] == [fine]


def test_finished_shards_are_committed_together_and_their_log_probs_kept(worker: Worker) -> None:
    shards = worker.score(worker.queue("one", "two"))
    worker.committer.commit(shards)
    assert worker.state("one") == worker.state("two") == (b"succeeded", b"2", b"0")
    assert worker.held.all() == []
    assert (worker.done.shards, worker.done.items) == (2, 4)
    assert len(list(worker.redis.scan_iter(match="tr:cache:*"))) == 3 * 2, "three texts, two branches each"


def test_a_shard_that_somebody_else_has_committed_counts_for_nothing(worker: Worker) -> None:
    ids = worker.queue("one", "two")
    shards = worker.score(ids)
    outcome = MemberOutcome(shards[0].claim.members[0], 2, 0, b"theirs")
    assert worker.store.commit([(ids[0], [outcome])]) == [True]
    worker.committer.commit(shards)
    assert worker.state("one") == (b"succeeded", b"2", b"2"), "theirs stays"
    assert worker.state("two") == (b"succeeded", b"2", b"0")
    assert worker.done.shards == 1
    assert worker.held.all() == []


def test_a_shard_that_was_lost_before_it_was_scored_is_let_go(worker: Worker) -> None:
    shards = worker.score(worker.queue("one"))
    shards[0].places[0].scored = None
    shards[0].lost = True
    worker.committer.commit(shards)
    assert worker.state("one") == (b"running", b"0", b"0")
    assert worker.held.all() == []


def test_a_commit_that_redis_refuses_for_now_is_tried_again_alone(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = worker.score(worker.queue("one", "two"))
    commit, asked = worker.store.commit, []

    def refusing(work: Sequence[tuple[str, Sequence[MemberOutcome]]]) -> list[bool | Exception]:
        asked.append([shard for shard, _ in work])
        if len(asked) == 1:
            return [*commit(work[:1]), redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")]
        return commit(work)

    monkeypatch.setattr(worker.store, "commit", refusing)
    monkeypatch.setattr("tokenreward_workers.shards.patience._PAUSE", 0.01)
    worker.committer.commit(shards)
    assert asked == [[shards[0].id, shards[1].id], [shards[1].id]]
    assert worker.done.shards == 2


def test_what_a_bug_spoils_is_blamed_and_nothing_else(worker: Worker) -> None:
    good, bad = worker.score(worker.queue("one", "two"))
    bad.claim.jobs.clear()
    with pytest.raises(StopIteration):
        worker.committer.commit([good, bad])
    assert (good.blamed, bad.blamed) == (False, True)


def test_the_thread_ends_after_what_was_put_before_it_was_closed(worker: Worker) -> None:
    shards = worker.score(worker.queue("one", "two", "three"))
    for shard in shards:
        worker.committer.put(shard)
    worker.committer.close()
    thread = threading.Thread(target=worker.committer.run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert worker.done.shards == 3


def test_an_unreadable_claim_is_left_out(worker: Worker) -> None:
    worker.queue("one")
    worker.redis.hset(keys.job("one"), "options", "{}")
    assert worker.store.claim(1) == []
