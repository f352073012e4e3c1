"""AUROC and average precision of tokens in responses, fast under any weighting of the responses.

A bootstrap over responses gives each response a weight (how often it was drawn). The order of the tokens does not
change by that, so it is found once, and a weighting costs one cumulative sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

STRATA = 10


class Ranking:
    """Which (bad, good) pairs of tokens are in the right order, counted for any weights of the responses.

    scores: [N], high for what looks wrong.  bad: [N].  response: [N], which response a token is of, from 0.
    group: [N] or None: only pairs within one group are compared (strata, or responses).
    """

    def __init__(self, scores: Floats, bad: Flags, response: Ints, group: Ints | None = None) -> None:
        values, rank = np.unique(scores, return_inverse=True)
        groups = np.zeros(len(scores), dtype=np.int64) if group is None else group
        size = max(1, len(values))
        key = groups * size + rank
        good = ~bad
        order = np.argsort(key[good], kind="stable")
        goods = key[good][order]
        self._good_response = response[good][order]
        self._bad_response = response[bad]
        self._first = np.searchsorted(goods, groups[bad] * size)
        self._last = np.searchsorted(goods, (groups[bad] + 1) * size)
        self._below = np.searchsorted(goods, key[bad], "left")
        self._upto = np.searchsorted(goods, key[bad], "right")

    def auroc(self, weights: Floats) -> float:
        """The share of pairs whose bad token scores higher, ties counted half; NaN without pairs.

        With groups: of all pairs within groups, so that a group counts by its (bad x good) pairs.
        """
        won, pairs = self._counts(weights)
        total = float(weights[self._bad_response] @ pairs)
        return float(weights[self._bad_response] @ won) / total if total else float("nan")

    def by_response(self, responses: int) -> Floats:
        """[responses]: the AUROC of each, NaN for one without bad or without good tokens.

        For a ranking whose groups are the responses.
        """
        won, pairs = self._counts(np.ones(responses))
        sums = [np.bincount(self._bad_response, weights=part, minlength=responses) for part in (won, pairs)]
        with np.errstate(invalid="ignore"):
            return sums[0] / np.where(sums[1] > 0, sums[1], np.nan)

    def _counts(self, weights: Floats) -> tuple[Floats, Floats]:
        """For every bad token: the weight of the good ones of its group that it beats, and of all of them."""
        cumulated = np.concatenate([[0.0], np.cumsum(weights[self._good_response])])
        base = cumulated[self._first]
        won = (cumulated[self._below] + cumulated[self._upto]) / 2 - base
        return won, cumulated[self._last] - base


class Precision:
    """Average precision for any weights of the responses: the mean precision at each step of recall, ties together."""

    def __init__(self, scores: Floats, bad: Flags, response: Ints) -> None:
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        self._response = response[order]
        self._bad = bad[order].astype(np.float64)
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.array([], int)

    def average(self, weights: Floats) -> float:
        """NaN without bad tokens."""
        each = weights[self._response]
        found = np.cumsum(each * self._bad)[self._ends]
        seen = np.cumsum(each)[self._ends]
        if not len(found) or not found[-1]:
            return float("nan")
        precision = found / np.where(seen > 0, seen, 1.0)
        return float(np.diff(found, prepend=0.0) @ precision / found[-1])


def strata(logprobs: Floats) -> Ints:
    """The decile of each log-prob among all of them; equal log-probs share one."""
    edges = np.quantile(logprobs, np.arange(1, STRATA) / STRATA) if len(logprobs) else np.array([])
    return np.searchsorted(edges, logprobs, side="right").astype(np.int64)


@dataclass(frozen=True)
class Curve:
    """A ROC curve: shares of good (x) and of bad (y) tokens that score at least a threshold, from (0, 0) to (1, 1)."""

    x: tuple[float, ...]
    y: tuple[float, ...]


def roc(scores: Floats, bad: Flags, points: int = 120) -> Curve:
    """At most about `points` points of the curve."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], bad[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    y = np.concatenate([[0.0], np.cumsum(hits)[ends] / max(1, hits.sum())])
    x = np.concatenate([[0.0], np.cumsum(~hits)[ends] / max(1, (~hits).sum())])
    if len(x) > points:  # evenly along the curve's own length, which keeps its corners
        along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        kept = np.unique(np.append(np.searchsorted(along, np.linspace(0, along[-1], points)), len(x) - 1))
        x, y = x[np.minimum(kept, len(x) - 1)], y[np.minimum(kept, len(y) - 1)]
    return Curve(tuple(np.round(x, 4).tolist()), tuple(np.round(y, 4).tolist()))
