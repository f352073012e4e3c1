"""What a worker says of its speed."""

from __future__ import annotations

import time

import pytest

from tokenreward_workers.shards.throughput import Throughput


def test_the_rate_that_was_measured_before_any_work_holds_until_there_is_a_better_one() -> None:
    done = Throughput(1000.0)
    assert done.tokens_per_second == 1000
    done.began()
    done.scored(10)
    done.ended()
    assert done.tokens_per_second == 1000, "a few milliseconds say nothing"
    done.began()
    time.sleep(0.6)
    done.scored(300)
    assert 1000 > (done.tokens_per_second or 0) > 300, "the new rate of about 500 counts in part"


def test_without_a_measured_rate_the_first_work_gives_one() -> None:
    done = Throughput()
    done.began()
    time.sleep(0.06)
    done.scored(60)
    assert 100 < (done.tokens_per_second or 0) <= 1000


def test_the_time_without_work_is_not_busy() -> None:
    done = Throughput()
    time.sleep(0.1)
    done.began()
    time.sleep(0.1)
    during = done.busy_seconds
    done.ended()
    time.sleep(0.1)
    assert 0.1 <= during <= done.busy_seconds < 0.2 + during
    assert done.busy_seconds == done.busy_seconds
    assert 0.1 < done.busy_share < 0.9


def test_shards_items_and_tokens_add_up() -> None:
    done = Throughput()
    done.began()
    done.scored(5)
    done.scored(7)
    done.ended()
    done.committed(3, 1)
    done.committed(4, 0)
    assert (done.tokens, done.shards, done.items, done.cache_hits) == (12, 2, 7, 1)
    assert done.busy_seconds == pytest.approx(done.busy_seconds)
