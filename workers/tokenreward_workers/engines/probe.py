"""A few fixed scorings that an engine must do before its worker registers: they prove it, and measure its rate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenreward_workers.engines.base import Engine, Outcome, score_all
from tokenreward_workers.scoring import LogProbs, Scoring, ScoringFailed

_SCORINGS, _PROMPT, _REST, _RESPONSE = 8, 48, 16, 64
#: A rate is measured over this many seconds, or over this many scorings: a fast card does eight in no time.
_SECONDS, _MOST = 0.3, 512

#: Mean difference of log-probs that another batch may make (bfloat16 makes 0.01 to 0.05 of well-known text; these
#: tokens are none). A row that was read from uninitialised memory, or not computed, is far beyond.
_NOISE = {"float32": 0.01, "float16": 0.2, "bfloat16": 0.5}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What an engine made of its probe.

    Attributes:
        tokens_per_second: Plain tokens per second, measured when the engine was warm.
        logprobs: For each of the first scorings, the log-probs of each branch.
    """

    tokens_per_second: float
    logprobs: Sequence[dict[str, LogProbs]]


def probe(engine: Engine) -> ProbeResult:
    """Let `engine` score the probe: to warm up, to keep its rows, and out of its cache; then measure its rate.

    Raises:
        EngineDied: It did.
        RuntimeError: A scoring failed, or the engine says something else of the same tokens the second time.
    """
    score_all(engine, _scorings(engine, 0, _SCORINGS))
    work = _scorings(engine, _SCORINGS, _SCORINGS)
    rate, seconds, first = _timed(engine, work)
    apart = _apart(first, _rows(score_all(engine, work)))
    if not apart <= _NOISE.get(engine.info.dtype, _NOISE["bfloat16"]):
        raise RuntimeError(f"the same tokens got log-probs that are {apart:.3g} apart (mean) when scored again")
    count = min(_MOST, int(_SCORINGS * _SECONDS / seconds))
    if count > _SCORINGS:
        rate, _, _ = _timed(engine, _scorings(engine, 2 * _SCORINGS, count))
    return ProbeResult(rate, first)


def _timed(engine: Engine, work: Sequence[Scoring]) -> tuple[float, float, list[dict[str, LogProbs]]]:
    """The rate in plain tokens per second, the seconds, and the rows."""
    started = time.perf_counter()
    rows = _rows(score_all(engine, work))
    seconds = time.perf_counter() - started
    return sum(scoring.tokens for scoring in work) / seconds, seconds, rows


def _rows(outcomes: Sequence[Outcome]) -> list[dict[str, LogProbs]]:
    rows = []
    for outcome in outcomes:
        if isinstance(outcome, ScoringFailed):
            raise RuntimeError(f"the probe failed ({outcome.code}): {outcome.message}")
        rows.append({branch: row.logprobs for branch, row in outcome.items()})
    return rows


def _apart(one: Sequence[dict[str, LogProbs]], other: Sequence[dict[str, LogProbs]]) -> float:
    """Mean |difference| of two answers to the same work."""
    pairs = [np.abs(a[branch] - b[branch]) for a, b in zip(one, other, strict=True) for branch in a]
    return float(np.concatenate(pairs).mean())


def _scorings(engine: Engine, first: int, count: int) -> list[Scoring]:
    vocabulary = min(engine.info.vocabulary, 1000)
    # An engine may take less than the probe's lengths: it would refuse the probe, and nothing is wrong with it.
    share = min(1.0, engine.info.max_tokens / (_PROMPT + _REST + _RESPONSE))
    prompt, rest, response = (max(1, int(share * length)) for length in (_PROMPT, _REST, _RESPONSE))

    def ids(seed: int, length: int) -> tuple[int, ...]:
        return tuple((7 * n * n + 3 * n + 11 * seed) % vocabulary for n in range(length))

    return [
        Scoring(ids(n, prompt), {"a": ids(n + 1, rest), "b": ids(n + 2, rest)}, ids(n + 3, response))
        for n in range(first, first + count)
    ]
