"""An engine that dies is restarted, what it held is scored again, and only the item that kills it fails."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import pytest

from tokenreward_workers.engines import recovery
from tokenreward_workers.engines.base import EngineDied, EngineInfo, EngineStats, Feed, Key, ListFeed, Outcome
from tokenreward_workers.scoring import Row, Scoring, ScoringFailed


class Mortal:
    """An engine that takes `ahead` scorings at a time and dies on some, as an engine without memory does."""

    def __init__(self, deadly: Callable[[Scoring, int], bool], ahead: int = 4) -> None:
        self.info = EngineInfo("mortal", "1", "float32", 100, 1000, "float32")
        self.stats = EngineStats()
        self.passes: list[list[int]] = []
        self._deadly = deadly
        self._ahead = ahead

    def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
        while (given := feed.take(self._ahead * 3, wait=True)) is not None:
            self.passes.append([scoring.response[0] for _, scoring in given])
            dropped = set(feed.step())
            for key, scoring in given:
                if key in dropped:
                    continue
                if self._deadly(scoring, self.stats.restarts):
                    raise EngineDied(f"on {scoring.response[0]}")
                yield key, {"a": Row(np.full(1, -1, np.float32))}

    def restart(self) -> None:
        self.stats.restarts += 1

    def close(self) -> None: ...


def work(count: int) -> list[Scoring]:
    return [Scoring((0, 0), {"a": ()}, (n,)) for n in range(count)]


def scored(engine: Mortal, feed: Feed) -> dict[Key, Outcome]:
    found: dict[Key, Outcome] = {}
    for key, outcome in recovery.score(engine, feed):
        assert key not in found, "each comes back once"
        found[key] = outcome
    return found


def test_an_engine_that_lives_gets_the_feed_as_it_is() -> None:
    engine = Mortal(lambda _scoring, _restarts: False)
    assert len(scored(engine, ListFeed(work(10)))) == 10
    assert engine.stats.restarts == 0


def test_what_a_dead_engine_held_is_scored_again_and_the_stream_goes_on() -> None:
    engine = Mortal(lambda scoring, restarts: scoring.response[0] == 2 and restarts == 0)
    outcomes = scored(engine, ListFeed(work(10)))
    assert not [n for n, outcome in outcomes.items() if isinstance(outcome, ScoringFailed)]
    assert len(outcomes) == 10
    assert engine.passes == [[0, 1, 2, 3], [2, 3], [4, 5, 6, 7], [8, 9]]


def test_the_live_stream_waits_until_what_was_taken_is_done() -> None:
    engine = Mortal(lambda scoring, restarts: scoring.response[0] == 0 and restarts < 2, ahead=3)
    scored(engine, ListFeed(work(6)))
    assert engine.passes == [[0, 1, 2], [0, 1, 2], [0], [1, 2], [3, 4, 5]]


def test_the_item_that_kills_the_engine_is_found_by_halving_and_fails_alone() -> None:
    engine = Mortal(lambda scoring, _restarts: scoring.response[0] == 5, ahead=8)
    outcomes = scored(engine, ListFeed(work(12)))
    assert len(outcomes) == 12
    failed = {n: outcome for n, outcome in outcomes.items() if isinstance(outcome, ScoringFailed)}
    assert failed == {5: ScoringFailed("engine_error", "scoring this item kills the engine: on 5")}


def test_two_deadly_items_are_both_found() -> None:
    engine = Mortal(lambda scoring, _restarts: scoring.response[0] in (1, 6), ahead=8)
    outcomes = scored(engine, ListFeed(work(8)))
    assert sorted(n for n, outcome in outcomes.items() if isinstance(outcome, ScoringFailed)) == [1, 6]
    assert len(outcomes) == 8


def test_what_is_dropped_meanwhile_is_not_scored_again() -> None:
    class Dropping(ListFeed):
        def __init__(self, work: Sequence[Scoring]) -> None:
            super().__init__(work)
            self.steps = 0

        def step(self) -> Collection[int]:
            self.steps += 1
            return {1} if self.steps == 2 else ()

    engine = Mortal(lambda scoring, restarts: scoring.response[0] == 0 and restarts == 0)
    assert sorted(scored(engine, Dropping(work(4)))) == [0, 2, 3]  # type: ignore[type-var]


def test_a_long_restart_counts_as_progress() -> None:
    steps = 0

    def step() -> Collection[int]:
        nonlocal steps
        steps += 1
        return ()

    class Slow(Mortal):
        def restart(self) -> None:
            before = steps
            time.sleep(1.3)
            assert steps > before
            super().restart()

    engine = Slow(lambda _scoring, restarts: restarts == 0)
    assert len(scored(engine, ListFeed(work(2), step))) == 2


def test_what_a_failed_pass_held_is_free_when_the_engine_is_restarted() -> None:
    class Activations:
        """Memory of a pass."""

    held: list[weakref.ref[Activations]] = []

    class Full(Mortal):
        def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
            activations = Activations()
            held.append(weakref.ref(activations))
            yield from super().score(feed)

        def restart(self) -> None:
            assert [memory() for memory in held] == [None] * len(held)
            super().restart()

    engine = Full(lambda scoring, _restarts: scoring.response[0] == 1)
    assert len(scored(engine, ListFeed(work(3)))) == 3
    assert engine.stats.restarts == 3


def test_an_engine_that_cannot_be_restarted_ends_it_all() -> None:
    class Gone(Mortal):
        def restart(self) -> None:
            raise EngineDied("no way back")

    with pytest.raises(EngineDied, match="no way back"):
        scored(Gone(lambda _scoring, _restarts: True), ListFeed(work(2)))


def test_closing_the_iterator_closes_the_engines() -> None:
    closed = False

    class Watched(Mortal):
        def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
            nonlocal closed
            try:
                yield from super().score(feed)
            finally:
                closed = True

    outcomes = recovery.score(Watched(lambda _scoring, _restarts: False), ListFeed(work(4)))
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert closed
