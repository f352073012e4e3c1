"""A few fixed scorings that an engine must do before its worker registers: they prove it, and measure its rate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenreward_workers.engines.base import Engine, Outcome, score_all
from tokenreward_workers.scoring import LogProbs, Scoring, ScoringFailed

_SCORINGS, _PROMPT, _REST, _RESPONSE = 8, 48, 16, 64

#: Mean difference of log-probs that another batch may make (bfloat16 makes 0.01 to 0.05 of well-known text; these
#: tokens are none). A row that was read from uninitialised memory, or not computed, is far beyond.
_NOISE = {"float32": 0.01, "float16": 0.2, "bfloat16": 0.5}


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
    """Let `engine` score the probe: once to warm up, once to be timed, and once more out of its cache.

    Raises:
        EngineDied: It did.
        RuntimeError: A scoring failed, or the engine says something else of the same tokens the second time.
    """
    score_all(engine, _scorings(engine, 0))
    work = _scorings(engine, _SCORINGS)
    started = time.perf_counter()
    first = _rows(score_all(engine, work))
    seconds = time.perf_counter() - started
    apart = _apart(first, _rows(score_all(engine, work)))
    if not apart <= _NOISE.get(engine.info.dtype, _NOISE["bfloat16"]):
        raise RuntimeError(f"the same tokens got log-probs that are {apart:.3g} apart (mean) when scored again")
    return ProbeResult(sum(scoring.tokens for scoring in work) / seconds, first)


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


def _scorings(engine: Engine, first: int) -> list[Scoring]:
    vocabulary = min(engine.info.vocabulary, 1000)
    # An engine may take less than the probe's lengths: it would refuse the probe, and nothing is wrong with it.
    share = min(1.0, engine.info.max_tokens / (_PROMPT + _REST + _RESPONSE))
    prompt, rest, response = (max(1, int(share * length)) for length in (_PROMPT, _REST, _RESPONSE))

    def ids(seed: int, count: int) -> tuple[int, ...]:
        return tuple((7 * n * n + 3 * n + 11 * seed) % vocabulary for n in range(count))

    return [
        Scoring(ids(n, prompt), {"a": ids(n + 1, rest), "b": ids(n + 2, rest)}, ids(n + 3, response))
        for n in range(first, first + _SCORINGS)
    ]
