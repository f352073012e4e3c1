"""How much a worker claims ahead: by tokens at its rate, one shard at least, more while interactive work waits."""

from __future__ import annotations

from tests.support.worker_shards import claimed
from tokenreward_workers.shards.claim_ahead import ClaimAhead
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.held_shards import HeldShards
from tokenreward_workers.shards.throughput import Throughput

NAMES = [f"{n:x}" * 32 for n in range(16)]
#: Plain tokens of one item of `claimed`.
ITEM = claimed(NAMES[0], 1).scorings[0].tokens


class Claims:
    """A worker's claims without a worker: shards of ten items."""

    def __init__(self, items_per_second: float | None) -> None:
        self.held = HeldShards()
        rate = items_per_second * ITEM if items_per_second else None
        self.ahead = ClaimAhead(self.held, Throughput(rate))

    def claim(self, *, prepared: bool = True, begun: bool = False) -> ClaimedShard:
        shard = claimed(NAMES[len(self.held.all()) % 16], 10)
        self.ahead.claimed(shard)
        self.held.add(shard)
        if prepared:
            self.ahead.prepared(shard)
            shard.prepared = True
            shard.waiting.extend(range(10))
            shard.waiting_tokens = 10 * ITEM
        shard.begun = begun
        return shard


def test_one_shard_waits_however_slow_the_engine_is_and_whatever_is_known_of_it() -> None:
    for rate in (None, 0.1):
        claims = Claims(rate)
        assert claims.ahead.wanted() == 1
        claims.claim(begun=True)
        assert claims.ahead.wanted() == 1, "that one is in the engine already"
        claims.claim()
        assert claims.ahead.wanted() == 0


def test_two_seconds_of_work_wait_for_a_fast_engine() -> None:
    claims = Claims(50)
    claims.claim()
    assert claims.ahead.wanted() == 9, "ten items wait, a hundred are two seconds' work"
    for _ in range(9):
        claims.claim()
    assert claims.ahead.wanted() == 0


def test_what_is_not_prepared_yet_counts_by_its_items() -> None:
    claims = Claims(50)
    claims.claim()
    for _ in range(9):
        claims.claim(prepared=False)
    assert claims.ahead.wanted() == 0


def test_nothing_more_is_claimed_while_preparation_or_commits_do_not_keep_up() -> None:
    claims = Claims(1e6)
    claims.claim()
    assert claims.ahead.wanted() == 16, "at most so many at once"
    for _ in range(52):
        claims.claim(prepared=False)
    assert claims.ahead.wanted() == 0

    claims = Claims(1e6)
    for _ in range(205):
        claims.claim().waiting.clear()  # scored
    assert claims.ahead.wanted() == 0


def test_a_shard_beyond_the_limit_is_claimed_while_work_waits_that_should_overtake() -> None:
    claims = Claims(1)
    claims.claim()
    assert claims.ahead.wanted() == 0
    claims.ahead.overtakes = True
    assert claims.ahead.wanted() == 1
    claims.claim()
    assert claims.ahead.wanted() == 0, "until it is heard again"
    claims.claim()
    claims.ahead.overtakes = True
    assert claims.ahead.wanted() == 0, "three wait"


def test_an_engine_in_the_middle_of_several_owners_shards_gets_no_more_of_them() -> None:
    claims = Claims(1)
    for _ in range(3):
        assert claims.ahead.wanted() == 1
        claims.claim(begun=True)
    assert claims.ahead.wanted() == 0
    claims.held.all()[0].waiting.clear()
    assert claims.ahead.wanted() == 1


def test_what_should_overtake_is_claimed_in_the_middle_of_several_shards_but_not_of_any_number() -> None:
    claims = Claims(1)
    for _ in range(3):
        claims.claim(begun=True)
    assert claims.ahead.wanted() == 0
    for _ in range(4):
        claims.ahead.overtakes = True
        assert claims.ahead.wanted() == 1
        claims.claim(begun=True)
    claims.ahead.overtakes = True
    assert claims.ahead.wanted() == 0


def test_a_lost_shard_does_not_count() -> None:
    claims = Claims(None)
    claims.claim().lost = True
    assert claims.ahead.wanted() == 1
