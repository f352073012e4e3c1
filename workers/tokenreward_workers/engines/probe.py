"""A few fixed scorings that an engine must do before its worker registers: they prove it, and measure its rate.

The same tokens are scored cold and out of the engine's cache, and have to get the same log-probs. A text that is
longer than every window of the model goes the same way, because a cache keeps less of what lies behind a window. Where
that would take minutes, the model is refused beyond its window, and the message says which --max-tokens it takes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenreward.errors import BadInput
from tokenreward_workers.engines.base import Engine, Outcome, score_all
from tokenreward_workers.scoring import LogProbs, Scoring, ScoringFailed

_SCORINGS, _PROMPT, _REST, _RESPONSE = 8, 48, 16, 64
#: A rate is measured over this many seconds, or over this many scorings: a fast card does eight in no time.
_SECONDS, _MOST = 0.3, 512

#: Tokens beyond the end of a window, and how long two scorings of such a text may take.
_BEYOND, _LONG_SECONDS = 64, 180.0

#: Mean difference of log-probs that another batch may make (bfloat16 makes 0.01 to 0.05 of well-known text; these
#: tokens are none). A row that was read from uninitialised memory, or not computed, is far beyond.
_NOISE = {"float32": 0.01, "float16": 0.2, "bfloat16": 0.5}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What an engine made of its probe.

    Attributes:
        tokens_per_second: Plain tokens per second, measured when the engine was warm; None where nothing was measured.
        logprobs: For each of the first scorings, the log-probs of each branch.
    """

    tokens_per_second: float | None
    logprobs: Sequence[dict[str, LogProbs]] = ()

    @property
    def flat(self) -> LogProbs:
        """All log-probs one after the other, float32 `[N]`; none where nothing was scored."""
        rows = [scored[branch] for scored in self.logprobs for branch in sorted(scored)]
        return np.concatenate(rows) if rows else np.zeros(0, dtype=np.float32)


def noise(dtype: str) -> float:
    """Return the mean difference of log-probs that arithmetic in `dtype` may make of the same tokens."""
    return _NOISE.get(dtype, _NOISE["bfloat16"])


def probe(engine: Engine) -> ProbeResult:
    """Let `engine` score the probe: to warm up, to keep its rows, and out of its cache; then measure its rate.

    Raises:
        EngineDied: It did.
        RuntimeError: A scoring failed, or the engine says something else of the same tokens the second time.
        BadInput: A text beyond the model's window would take too long to score.
    """
    score_all(engine, _scorings(engine, 0, _SCORINGS))
    work = _scorings(engine, _SCORINGS, _SCORINGS)
    rate, seconds, first = _timed(engine, work)
    _compare(engine, first, _rows(score_all(engine, work)))
    _beyond_windows(engine, rate)
    count = min(_MOST, int(_SCORINGS * _SECONDS / seconds))
    if count > _SCORINGS:
        rate, _, _ = _timed(engine, _scorings(engine, 2 * _SCORINGS, count))
    return ProbeResult(rate, first)


def _beyond_windows(engine: Engine, rate: float) -> None:
    """Score a text that is longer than every window, cold and from the cache."""
    ends = [size for size in engine.info.windows if size < engine.info.max_tokens]
    if not ends or ends[-1] + 2 < _PROMPT:
        return
    length = min(ends[-1] + _BEYOND, engine.info.max_tokens)
    seconds = 4 * length / rate
    if seconds > _LONG_SECONDS:
        raise BadInput(
            f"the model's attention changes at {ends[-1]} tokens, and scoring that much to prove it would take "
            f"{seconds:.0f} s here: give --max-tokens {ends[0]} or less"
        )
    ids = _ids(engine, 1, length + _REST)
    response = min(_RESPONSE, length // 2)
    start = length - response - 2
    text = Scoring(ids[:start], {"a": ids[start : start + 2], "b": ids[start + 2 : start + 3]}, ids[-response:])
    first = _rows(score_all(engine, [text]))
    _compare(engine, first, _rows(score_all(engine, [text])))


def _compare(engine: Engine, one: Sequence[dict[str, LogProbs]], other: Sequence[dict[str, LogProbs]]) -> None:
    apart = _apart(one, other)
    if not apart <= noise(engine.info.dtype):
        raise RuntimeError(f"the same tokens got log-probs that are {apart:.3g} apart (mean) when scored again")


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
    # An engine may take less than the probe's lengths: it would refuse the probe, and nothing is wrong with it.
    share = min(1.0, engine.info.max_tokens / (_PROMPT + _REST + _RESPONSE))
    prompt, rest, response = (max(1, int(share * length)) for length in (_PROMPT, _REST, _RESPONSE))

    return [
        Scoring(
            _ids(engine, n, prompt),
            {"a": _ids(engine, n + 1, rest), "b": _ids(engine, n + 2, rest)},
            _ids(engine, n + 3, response),
        )
        for n in range(first, first + count)
    ]


def _ids(engine: Engine, seed: int, length: int) -> tuple[int, ...]:
    vocabulary = min(engine.info.vocabulary, 1000)
    return tuple((7 * n * n + 3 * n + 11 * seed) % vocabulary for n in range(length))
