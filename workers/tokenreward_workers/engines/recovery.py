"""Scoring that survives its engine: restart, half the budget, and down to the item that kills it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Sequence

from tokenreward_workers.engines.base import Engine, EngineDied, OnStep
from tokenreward_workers.scoring import Scored, Scoring, ScoringFailed

log = logging.getLogger(__name__)

#: A restart that takes longer than this loses its shards to other workers.
_RESTART_SECONDS = 300.0


def score(engine: Engine, work: Sequence[Scoring], on_step: OnStep) -> Iterator[tuple[int, Scored | ScoringFailed]]:
    """As `engine.score`, but an engine that dies is restarted, and what it left is scored again.

    A group on which it dies a second time is halved; a single item on which it dies is a failure of that item.
    Raises EngineDied only if the engine cannot be restarted.
    """
    groups: list[tuple[list[int], bool]] = [(list(range(len(work))), False)]
    while groups:
        group, suspect = groups.pop()
        left = set(group)
        position = {i: n for n, i in enumerate(group)}

        def dropped(left: set[int] = left, position: dict[int, int] = position) -> Collection[int]:
            unwanted = set(on_step())
            left -= unwanted
            return {position[i] for i in unwanted if i in position}

        try:
            for n, outcome in engine.score([work[i] for i in group], dropped):
                left.discard(group[n])
                yield group[n], outcome
        except EngineDied as death:
            log.error("the engine died with %d of %d responses left: %s", len(left), len(group), death)
            _restart(engine, on_step)
            rest = [i for i in group if i in left]
            if len(rest) == 1 and suspect:
                yield rest[0], ScoringFailed("engine_error", f"scoring this item kills the engine: {death}")
            elif rest and not suspect:
                groups.append((rest, True))
            elif rest:
                half = len(rest) // 2
                groups += [(rest[half:], True), (rest[:half], True)]


def _restart(engine: Engine, on_step: OnStep) -> None:
    """Restart, and count that as progress for a while: a large model takes longer to load than a lease lasts."""
    done = threading.Event()

    def report() -> None:
        deadline = time.monotonic() + _RESTART_SECONDS
        while not done.wait(1.0) and time.monotonic() < deadline:
            on_step()

    reporter = threading.Thread(target=report, name="restart", daemon=True)
    reporter.start()
    try:
        engine.restart()
    finally:
        done.set()
        reporter.join()
