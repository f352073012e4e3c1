"""Leases last only while the engine makes progress, and what is not wanted any more leaves the stream."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import redis

from tests.support.worker_shards import claimed
from tokenreward_workers.shards.claim_ahead import ClaimAhead
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.held_shards import HeldShards
from tokenreward_workers.shards.leases import Leases
from tokenreward_workers.shards.scoring_stream import ScoringStream
from tokenreward_workers.shards.throughput import Throughput


class Renewals:
    """A job store that answers as it is told to, and counts."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.owed: dict[str, set[str]] = {}
        self.overtakes = False
        self.away = False

    def renew(self, shards: Sequence[str]) -> tuple[dict[str, set[str]], bool]:
        if self.away:
            raise redis.ConnectionError("away")
        self.asked.append(list(shards))
        return self.owed, self.overtakes


class Worker:
    def __init__(self, *shards: ClaimedShard) -> None:
        self.store, self.held = Renewals(), HeldShards()
        throughput = Throughput()
        self.ahead = ClaimAhead(self.held, throughput)
        self.stream = ScoringStream(self.held, throughput, mark=lambda _: None, finished=lambda _: None)
        self.leases = Leases(self.store, self.held, self.stream, self.ahead)  # type: ignore[arg-type]
        for shard in shards:
            self.held.add(shard)
            self.stream.add(shard)
            self.store.owed[shard.id] = set(shard.claim.jobs)


def test_leases_are_renewed_only_after_a_sign_of_life_of_the_engine() -> None:
    worker = Worker(claimed("a" * 32, 1), claimed("b" * 32, 1))
    worker.leases.renew()
    assert worker.store.asked == []
    worker.stream.step()
    worker.leases.renew()
    worker.leases.renew()
    assert worker.store.asked == [["a" * 32, "b" * 32]], "once for each sign of life"


def test_a_sign_of_life_is_not_forgotten_while_the_store_is_away() -> None:
    worker = Worker(claimed("a" * 32, 1))
    worker.stream.step()
    worker.store.away = True
    worker.leases.renew()
    worker.store.away = False
    worker.leases.renew()
    assert len(worker.store.asked) == 1


def test_a_shard_that_is_not_ours_any_more_leaves_the_stream() -> None:
    ours, theirs = claimed("a" * 32, 1), claimed("b" * 32, 1)
    worker = Worker(ours, theirs)
    del worker.store.owed[theirs.id]
    worker.stream.step()
    worker.leases.renew()
    assert theirs.lost
    given = worker.stream.take(1000, wait=False)
    assert given is not None
    assert [key for key, _ in given] == [(ours, 0)]


def test_a_job_that_is_over_takes_its_scorings_along() -> None:
    shard = claimed("a" * 32, 2, jobs=("mine", "over"))
    worker = Worker(shard)
    worker.store.owed[shard.id] = {"mine"}
    worker.stream.step()
    worker.leases.renew()
    assert shard.unwanted == {"over"}
    assert not shard.lost
    assert list(shard.waiting) == [0]


@pytest.mark.parametrize("waits", [True, False])
def test_work_that_should_overtake_makes_room_for_a_claim(waits: bool) -> None:
    worker = Worker(claimed("a" * 32, 1))
    worker.store.overtakes = waits
    worker.stream.step()
    worker.leases.renew()
    assert worker.ahead.wanted() == int(waits)
