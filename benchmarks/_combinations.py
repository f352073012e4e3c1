"""What estimator_search.py compares: combinations of a response's log-probs under several prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from tokenreward.estimators.evidence import averaged

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Combination:
    """reads: the branches it needs.  of: {branch: log-probs [T]} -> [T], low for what looks wrong."""

    reads: frozenset[str]
    of: Callable[[Mapping[str, Floats]], Floats]


def weighted(**weights: float) -> Combination:
    """A sum of log-probs."""
    return Combination(frozenset(weights), lambda logprobs: sum((w * logprobs[b] for b, w in weights.items()), ZERO))


def smoothed(before: float, after: float, of: Combination) -> Combination:
    return Combination(of.reads, lambda logprobs: averaged(of.of(logprobs).astype(np.float32), before, after))


def less_mean(of: Combination, response: float = 0.0, null: str = "nullhint") -> Combination:
    """Less its mean, and `response` times the mean of `null` instead."""

    def combine(logprobs: Mapping[str, Floats]) -> Floats:
        d = of.of(logprobs)
        return d - d.mean() + response * logprobs[null].mean()

    return Combination(of.reads | {null}, combine)


def apart(null: str, before: float, after: float, weight: float, around: float) -> Combination:
    """Averages of `plain` and of `null` over widths of their own."""
    plain, other = smoothed(before, after, weighted(plain=1)), smoothed(around, around, weighted(**{null: 1}))
    return Combination(plain.reads | other.reads, lambda logprobs: plain.of(logprobs) - weight * other.of(logprobs))


ZERO = np.zeros(1)
PLAIN, PMI = weighted(plain=1), weighted(plain=1, nullhint=-1)
COMBINATIONS: dict[str, Combination] = {
    "plain (surprisal)": PLAIN,
    "position (later is worse)": Combination(
        PLAIN.reads, lambda logprobs: -np.arange(len(logprobs["plain"]), dtype=float)
    ),
    "plain - nullhint": PMI,
    "plain - null": weighted(plain=1, null=-1),
    "plain - otherq": weighted(plain=1, otherq=-1),
    "plain - wrong": weighted(plain=1, wrong=-1),
    "plain - careless": weighted(plain=1, careless=-1),
    "hint3 - badhint3": weighted(hint3=1, badhint3=-1),
    "reread - null": weighted(reread=1, null=-1),
    "step + hint/2 - null/2 - wrong/2": weighted(step=1, hint=0.5, null=-0.5, wrong=-0.5),
    "mean nullhint": less_mean(weighted(plain=0), 1),
    "G1.7(plain)": smoothed(1.7, 1.7, PLAIN),
    "G1,3(plain)": smoothed(1, 3, PLAIN),
    "G12(plain)": smoothed(12, 12, PLAIN),
    "G1.7(plain - nullhint)": smoothed(1.7, 1.7, PMI),
    "G6(plain - nullhint)": smoothed(6, 6, PMI),
    "G1.7(plain) - 0.9 G4(null), less its mean": less_mean(apart("null", 1.7, 1.7, 0.9, 4)),
    "version 1: G1.7(plain) - 0.9 G4(nullhint), less its mean": less_mean(apart("nullhint", 1.7, 1.7, 0.9, 4)),
    "version 1 + 0.5 mean nullhint": less_mean(apart("nullhint", 1.7, 1.7, 0.9, 4), 0.5),
    "version 1 + mean nullhint": less_mean(apart("nullhint", 1.7, 1.7, 0.9, 4), 1),
    "G3,1(plain) - G4(nullhint), less its mean, + 0.75 mean nullhint": less_mean(apart("nullhint", 3, 1, 1, 4), 0.75),
    "G1,3(plain) - G4(nullhint), less its mean": less_mean(apart("nullhint", 1, 3, 1, 4)),
    "G1,3(plain) - G4(nullhint), less its mean, + 0.5 mean nullhint": less_mean(apart("nullhint", 1, 3, 1, 4), 0.5),
    "evidence: G1,3(plain) - G4(nullhint), less its mean, + 0.75 mean nullhint": less_mean(
        apart("nullhint", 1, 3, 1, 4), 0.75
    ),
}

#: Which `evidence` might have been: widths of plain, weight and width of null, weight of the response.
GRID = list(
    product(
        [(1.7, 1.7), (1, 2), (1, 3), (1, 4), (2, 3), (3, 1)], [0.8, 0.9, 1, 1.1], [3, 4, 6], [0, 0.25, 0.5, 0.75, 1]
    )
)
#: AUROC wanted; on HaluEval, where nothing is far from chance, more than surprisal's.
WANTED = {"gsm8k": 0.82, "bigbench": 0.62}
