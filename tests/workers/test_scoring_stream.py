"""The stream that feeds an engine: order, interactive work, what leaves it, the end, and suspects alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import numpy as np

from tests.support.worker_shards import claimed
from tokenreward_workers.scoring import Row, Scored, ScoringFailed
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.held_shards import HeldShards
from tokenreward_workers.shards.scoring_stream import Key, ScoringStream
from tokenreward_workers.shards.throughput import Throughput

ROOMY = 10_000


class Run:
    """A stream, and what it told: the marks for the job store, and the shards that are finished."""

    def __init__(self) -> None:
        self.marks: list[str] = []
        self.finished: list[ClaimedShard] = []
        self.held = HeldShards()
        self.throughput = Throughput()
        self.stream = ScoringStream(self.held, self.throughput, mark=self.marks.append, finished=self.finished.append)

    def add(self, *shards: ClaimedShard) -> None:
        for shard in shards:
            self.held.add(shard)
            self.stream.add(shard)

    def take(self, tokens: int = ROOMY) -> list[Key] | None:
        given = self.stream.take(tokens, wait=False)
        return None if given is None else [key for key, _ in given]

    def settle(self, keys: Sequence[Key]) -> None:
        for shard, n in keys:
            self.stream.settle((shard, n), rows(shard, n))


def rows(shard: ClaimedShard, n: int) -> Scored:
    scoring = shard.scorings[n]
    return {name: Row(np.full(len(scoring.response), -1, np.float32)) for name in scoring.branches}


def test_scorings_of_the_next_shard_follow_those_of_the_first_in_one_take() -> None:
    run, first, second = Run(), claimed("a" * 32, 2), claimed("b" * 32, 1)
    run.add(first, second)
    assert run.take() == [(first, 0), (first, 1), (second, 0)]
    assert run.take() == []


def test_a_take_gives_at_least_one_scoring_and_then_only_what_there_is_room_for() -> None:
    run, shard = Run(), claimed("a" * 32, 3)
    run.add(shard)
    each = shard.scorings[0].tokens
    assert run.take(1) == [(shard, 0)]
    assert shard.waiting_tokens == 2 * each
    assert run.take(2 * each - 1) == [(shard, 1)]


def test_interactive_work_goes_before_what_waits_and_after_what_is_in_the_engine() -> None:
    run, bulk, quick = Run(), claimed("a" * 32, 3), claimed("b" * 32, 1, front=True)
    run.add(bulk)
    assert run.take(1) == [(bulk, 0)]
    run.add(quick)
    assert run.take() == [(quick, 0), (bulk, 1), (bulk, 2)]


def test_owners_take_turns_so_that_nobody_waits_for_the_end_of_anothers_shard() -> None:
    run, large, small = Run(), claimed("a" * 32, 6, owner="many"), claimed("b" * 32, 2, owner="few")
    run.add(large)
    assert run.take(1) == [(large, 0)]
    run.add(small)
    assert run.take() == [(large, 1), (small, 0), (large, 2), (small, 1), (large, 3), (large, 4), (large, 5)]


def test_what_an_owner_had_alone_is_not_held_against_him_and_an_absent_one_saves_nothing() -> None:
    run, long = Run(), claimed("a" * 32, 9, owner="many")
    run.add(long)
    run.take(1)
    run.take(1)
    first, second = claimed("b" * 32, 1, owner="few"), claimed("c" * 32, 3, owner="few")
    run.add(first)
    assert run.take(1) == [(long, 2)]
    assert run.take(1) == [(first, 0)]
    run.take(1)
    run.take(1)
    run.add(second)
    assert {shard for _ in range(4) for shard, _ in run.take(1) or ()} == {long, second}
    assert len(second.waiting) == 1


def test_a_shard_is_finished_once_when_its_last_scoring_is_settled_in_whatever_order() -> None:
    run, first, second = Run(), claimed("a" * 32, 2), claimed("b" * 32, 1)
    run.add(first, second)
    run.take()
    run.settle([(second, 0), (first, 1)])
    assert run.finished == [second]
    run.settle([(first, 0)])
    assert run.finished == [second, first]
    assert first.settled
    assert run.throughput.tokens == sum(s.tokens for s in [*first.scorings, *second.scorings])


def test_a_shard_with_nothing_to_score_is_finished_when_it_comes() -> None:
    run, cached = Run(), claimed("a" * 32, 0)
    run.add(cached)
    assert run.finished == [cached]


def test_a_shard_that_the_engine_scores_the_moment_it_enters_is_finished_once() -> None:
    run, shard = Run(), claimed("a" * 32, 1)

    class Released(threading.Condition):
        """A lock that hands over to the engine as soon as it is let go."""

        def __exit__(self, *error: object) -> None:
            super().__exit__(*error)
            if shard.waiting and not shard.begun:
                run.settle(run.take() or [])

    run.stream._changed = Released()
    run.stream.add(shard)
    assert run.finished == [shard]


def test_a_lost_shard_leaves_the_queue_at_once_and_the_engine_at_its_next_step() -> None:
    run, lost, other = Run(), claimed("a" * 32, 3), claimed("b" * 32, 1)
    run.add(lost, other)
    assert run.take(1) == [(lost, 0)]
    lost.lost = True
    run.stream.withdraw(lost)
    assert run.finished == [lost]
    assert run.take() == [(other, 0)]
    assert set(run.stream.step()) == {(lost, 0)}
    assert not run.stream.step(), "a key is dropped once"
    assert run.stream.shards_in_engine == [other]


def test_what_the_engine_had_done_before_it_heard_of_a_loss_is_not_dropped_again() -> None:
    run, lost = Run(), claimed("a" * 32, 1)
    run.add(lost)
    run.take()
    lost.lost = True
    run.stream.withdraw(lost)
    run.settle([(lost, 0)])
    assert not run.stream.step()
    assert run.finished == [lost], "and finished only once"
    assert not lost.settled


def test_only_the_scorings_of_a_job_that_is_over_leave_a_shard_that_two_jobs_share() -> None:
    run, shard = Run(), claimed("a" * 32, 4, jobs=("mine", "yours"))
    run.add(shard)
    shard.unwanted = frozenset({"mine"})
    run.stream.withdraw(shard)
    assert run.take() == [(shard, 2), (shard, 3)]


def test_a_shard_that_was_lost_before_it_was_prepared_never_enters() -> None:
    run, shard = Run(), claimed("a" * 32, 2)
    shard.lost = True
    run.stream.withdraw(shard)
    run.add(shard)
    assert run.take() == []
    assert run.finished == [shard]


def test_a_closed_stream_gives_the_rest_of_what_was_begun_and_then_ends() -> None:
    run, begun, untouched = Run(), claimed("a" * 32, 2), claimed("b" * 32, 1)
    run.add(begun, untouched)
    run.take(1)
    run.stream.close()
    assert run.take() == [(begun, 1)]
    assert run.take() is None


def test_a_waiting_engine_is_woken_by_work_and_by_the_end() -> None:
    run, shard = Run(), claimed("a" * 32, 1)
    taken: list[object] = []

    def engine() -> None:
        while (given := run.stream.take(ROOMY, wait=True)) is not None:
            taken.extend(key for key, _ in given)
            run.settle([key for key, _ in given])

    thread = threading.Thread(target=engine, daemon=True)
    thread.start()
    run.add(shard)
    thread.join(0.2)
    assert taken == [(shard, 0)]
    run.stream.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_suspect_waits_until_the_engine_is_empty_and_is_named_before_it_enters() -> None:
    run, before, suspect = Run(), claimed("a" * 32, 2), claimed("b" * 32, 2, attempts=1)
    after = claimed("c" * 32, 1)
    run.add(before, suspect, after)
    assert run.take() == [(before, 0), (before, 1)]
    run.settle([(before, 0)])
    assert run.take() == []
    assert run.marks == []
    run.settle([(before, 1)])
    assert run.take() == [(suspect, 0), (suspect, 1)]
    assert run.marks == [suspect.id]
    run.settle([(suspect, 0)])
    assert run.take() == [], "nothing enters beside it"
    run.settle([(suspect, 1)])
    assert run.take() == [(after, 0)]
    assert run.marks == [suspect.id, ""], "and the store hears that the engine is done with it"


def test_the_store_hears_at_once_that_a_suspect_has_left_although_there_is_no_more_work() -> None:
    run, suspect = Run(), claimed("a" * 32, 1, attempts=1)
    marks: queue.SimpleQueue[str] = queue.SimpleQueue()
    run.stream._mark = marks.put
    run.add(suspect)

    def engine() -> None:
        while (given := run.stream.take(ROOMY, wait=True)) is not None:
            run.settle([key for key, _ in given])

    thread = threading.Thread(target=engine, daemon=True)
    thread.start()
    assert [marks.get(timeout=10), marks.get(timeout=10)] == [suspect.id, ""]
    run.stream.close()
    thread.join(10)
    assert not thread.is_alive()
    assert marks.empty()


def test_not_even_interactive_work_enters_beside_a_suspect() -> None:
    run, suspect, quick = Run(), claimed("a" * 32, 2, attempts=2), claimed("b" * 32, 1, front=True)
    run.add(suspect)
    assert run.take(1) == [(suspect, 0)]
    run.add(quick)
    assert run.take() == [(suspect, 1)]
    run.settle([(suspect, 0), (suspect, 1)])
    assert run.take() == [(quick, 0)]


def test_a_second_suspect_is_named_when_it_is_its_turn() -> None:
    run, first, second = Run(), claimed("a" * 32, 1, attempts=1), claimed("b" * 32, 1, attempts=1)
    run.add(first, second)
    assert run.take() == [(first, 0)]
    run.settle([(first, 0)])
    assert run.take() == [(second, 0)]
    assert run.marks == [first.id, second.id]


def test_a_suspect_that_is_cancelled_lets_the_others_in_once_the_engine_has_dropped_it() -> None:
    run, suspect, other = Run(), claimed("a" * 32, 2, attempts=1), claimed("b" * 32, 1)
    run.add(suspect, other)
    run.take(1)
    suspect.lost = True
    run.stream.withdraw(suspect)
    assert run.take() == []
    assert set(run.stream.step()) == {(suspect, 0)}
    assert run.take() == [(other, 0)]


def test_a_failure_settles_an_item_like_log_probs_do() -> None:
    run, shard = Run(), claimed("a" * 32, 1)
    run.add(shard)
    run.take()
    run.stream.settle((shard, 0), ScoringFailed("non_finite", "nan"))
    assert run.finished == [shard]
    assert shard.places[0].failure == ScoringFailed("non_finite", "nan")
