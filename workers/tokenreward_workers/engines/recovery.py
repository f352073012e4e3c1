"""Scoring that survives its engine: restart, half the budget, and down to the item that kills it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Collection, Iterator, Sequence

from tokenreward_workers.engines.base import Engine, EngineDied, Feed, Key, Outcome
from tokenreward_workers.scoring import Scoring, ScoringFailed

log = logging.getLogger(__name__)

#: A restart that takes longer than this loses its shards to other workers.
_RESTART_SECONDS = 300.0

_Work = tuple[Key, Scoring]


def score(engine: Engine, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
    """Score as `engine.score` does, but restart an engine that dies, and score again what it had taken.

    What was taken when the engine died is scored again on its own, while the feed waits. A group on which the engine
    dies once more is halved, and a single item on which it dies is a failure of that item.

    Yields:
        Each key with its rows or its failure, in the order they are done.

    Raises:
        EngineDied: The engine cannot be restarted. (What else `Engine.restart` raises goes through, too.)
    """
    taken = _Taken(feed)
    while True:
        try:
            yield from _noted(engine, taken, taken)
            return
        except EngineDied as death:
            reason = str(death)
        log.error("the engine died with %d responses in it: %s", len(taken.work), reason)
        _restart(engine, taken)  # not above, where the error still holds the memory that the failed pass took
        yield from _again(engine, taken)


class _Taken:
    """A feed that remembers what the engine has taken from another one and not given back yet."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.work: dict[Key, Scoring] = {}

    def take(self, tokens: int, *, wait: bool) -> Sequence[_Work] | None:
        given = self._feed.take(tokens, wait=wait)
        self.work.update(given or ())
        return given

    def step(self) -> Collection[Key]:
        dropped = self._feed.step()
        for key in dropped:
            self.work.pop(key, None)
        return dropped


class _Group:
    """A feed of work that had been taken before, as far as it is still wanted."""

    def __init__(self, keys: Sequence[Key], taken: _Taken) -> None:
        self._waiting = list(keys)[::-1]
        self._taken = taken

    def take(self, tokens: int, *, wait: bool) -> Sequence[_Work] | None:
        if not self._waiting:
            return None
        given: list[_Work] = []
        while self._waiting:
            scoring = self._taken.work.get(self._waiting[-1])
            if scoring is None:  # nobody wants it any more
                self._waiting.pop()
            elif given and scoring.tokens > tokens:
                break
            else:
                given.append((self._waiting.pop(), scoring))
                tokens -= scoring.tokens
        return given or None

    def step(self) -> Collection[Key]:
        return self._taken.step()


def _noted(engine: Engine, feed: Feed, taken: _Taken) -> Iterator[tuple[Key, Outcome]]:
    with contextlib.closing(engine.score(feed)) as outcomes:  # type: ignore[type-var]
        for key, outcome in outcomes:
            taken.work.pop(key, None)
            yield key, outcome


def _again(engine: Engine, taken: _Taken) -> Iterator[tuple[Key, Outcome]]:
    """Score what was taken once more, in smaller and smaller groups."""
    groups: list[list[Key]] = [list(taken.work)]
    while groups:
        group = groups.pop()
        if not any(key in taken.work for key in group):
            continue
        try:
            yield from _noted(engine, _Group(group, taken), taken)
            continue
        except EngineDied as death:
            reason = str(death)
        _restart(engine, taken)
        rest = [key for key in group if key in taken.work]
        log.error("the engine died again, with %d of %d responses left: %s", len(rest), len(group), reason)
        if len(rest) == 1:
            del taken.work[rest[0]]
            yield rest[0], ScoringFailed("engine_error", f"scoring this item kills the engine: {reason}")
        else:
            half = len(rest) // 2
            groups += [rest[half:], rest[:half]]


def _restart(engine: Engine, feed: Feed) -> None:
    """Restart, and count that as progress for a while: a large model takes longer to load than a lease lasts."""
    done = threading.Event()

    def report() -> None:
        deadline = time.monotonic() + _RESTART_SECONDS
        while not done.wait(1.0) and time.monotonic() < deadline:
            feed.step()

    reporter = threading.Thread(target=report, name="restart", daemon=True)
    reporter.start()
    try:
        engine.restart()
    finally:
        done.set()
        reporter.join()
