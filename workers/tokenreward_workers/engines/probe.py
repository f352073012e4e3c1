"""A few fixed scorings that an engine must do before its worker registers: they prove it, and measure its rate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tokenreward_workers.engines.base import Engine, score_all
from tokenreward_workers.scoring import LogProbs, Scoring, ScoringFailed

_SCORINGS, _PROMPT, _REST, _RESPONSE = 8, 48, 16, 64


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What an engine made of its probe.

    Attributes:
        tokens_per_second: Plain tokens per second of the second pass.
        logprobs: For each scoring, the log-probs of each branch.
    """

    tokens_per_second: float
    logprobs: Sequence[dict[str, LogProbs]]


def probe(engine: Engine) -> ProbeResult:
    """Let `engine` score the probe, once to warm up and once to be timed.

    Raises:
        EngineDied: It did.
        RuntimeError: A scoring failed.
    """
    score_all(engine, _scorings(engine, 0))
    work = _scorings(engine, _SCORINGS)
    started = time.perf_counter()
    outcomes = score_all(engine, work)
    seconds = time.perf_counter() - started
    rows = []
    for outcome in outcomes:
        if isinstance(outcome, ScoringFailed):
            raise RuntimeError(f"the probe failed ({outcome.code}): {outcome.message}")
        rows.append({branch: row.logprobs for branch, row in outcome.items()})
    return ProbeResult(sum(scoring.tokens for scoring in work) / seconds, rows)


def _scorings(engine: Engine, first: int) -> list[Scoring]:
    vocabulary = min(engine.info.vocabulary, 1000)

    def ids(seed: int, count: int) -> tuple[int, ...]:
        return tuple((7 * n * n + 3 * n + 11 * seed) % vocabulary for n in range(count))

    return [
        Scoring(ids(n, _PROMPT), {"a": ids(n + 1, _REST), "b": ids(n + 2, _REST)}, ids(n + 3, _RESPONSE))
        for n in range(first, first + _SCORINGS)
    ]
