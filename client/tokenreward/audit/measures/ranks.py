"""AUROC and average precision of tokens in responses: exact for the data, and fast for every resample of responses.

A resample gives each response a weight, how often it was drawn. Tokens keep their order by that, so they are counted
once, by response, in cells of that order; a thousand resamples are then one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

STRATA = 10
#: Most distinct scores of bad tokens that cells tell apart. Up to so many, resamples are exact; beyond, bad and good
#: tokens that lie closer than the next of these scores count as ties, which moves an AUROC by less than 1 / THRESHOLDS.
THRESHOLDS = 1024
#: Responses whose counts are in memory at a time.
_BLOCK = 2048


def auroc(scores: Floats, bad: Flags, group: Ints | None = None) -> float:
    """The share of (bad, good) pairs of tokens whose bad one scores higher, ties counted half; NaN without pairs.

    scores: [N], high for what looks wrong.  group: [N]; only pairs within a group are compared, so that a group counts
    by its (bad x good) pairs.
    """
    won, pairs = _compared(scores, bad, group)
    total = float(pairs.sum())
    return float(won.sum()) / total if total else float("nan")


def auroc_by_response(scores: Floats, bad: Flags, response: Ints, responses: int) -> Floats:
    """[responses]: the AUROC of each, NaN for one without bad or without good tokens."""
    won, pairs = (
        np.bincount(response[bad], weights=part, minlength=responses) for part in _compared(scores, bad, response)
    )
    with np.errstate(invalid="ignore"):
        found: Floats = won / np.where(pairs > 0, pairs, np.nan)
    return found


def average_precision(scores: Floats, bad: Flags) -> float:
    """The mean over bad tokens of the precision at each one's score, ties together; NaN without bad tokens."""
    if not bad.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = np.cumsum(bad[order])[ends]
    return float(np.diff(found, prepend=0) @ (found / (ends + 1)) / found[-1])


def _compared(scores: Floats, bad: Flags, group: Ints | None) -> tuple[Floats, Floats]:
    """For every bad token: how many good ones of its group it beats, and how many there are."""
    key, size = _keys(scores, group)
    groups = np.zeros(len(scores), dtype=np.int64) if group is None else group
    goods = np.sort(key[~bad])
    first = np.searchsorted(goods, groups[bad] * size)
    last = np.searchsorted(goods, (groups[bad] + 1) * size)
    below, upto = np.searchsorted(goods, key[bad], "left"), np.searchsorted(goods, key[bad], "right")
    return (below + upto) / 2 - first, (last - first).astype(np.float64)


def _keys(scores: Floats, group: Ints | None) -> tuple[Ints, int]:
    """Whole numbers in the order of (group, score), and how far apart groups are."""
    values, rank = np.unique(scores, return_inverse=True)
    size = max(1, len(values))
    return (rank if group is None else group * size + rank), size


class Cells:
    """The tokens of every response, counted in cells along the order of (group, score).

    Every score that a bad token has is a cell, and so is what lies between two of them.
    """

    def __init__(
        self, scores: Floats, bad: Flags, response: Ints, group: Ints | None = None, thresholds: int = THRESHOLDS
    ) -> None:
        key, _ = _keys(scores, group)
        edges = np.unique(key[bad])
        if len(edges) > thresholds:
            ordered = np.sort(key[bad])
            edges = np.unique(ordered[np.linspace(0, len(ordered) - 1, thresholds).astype(int)])
        groups = np.zeros(len(scores), dtype=np.int64) if group is None else group
        # The group's number keeps what lies between the last score of one group and the first of the next apart.
        self._cell = np.searchsorted(edges, key, "left") + np.searchsorted(edges, key, "right") + groups
        self._cells = 2 * len(edges) + 1 + int(groups.max(initial=0))
        self._bad, self._response = bad, response
        owner = np.zeros(self._cells, dtype=np.int64)
        owner[self._cell] = groups
        self._owner = np.maximum.accumulate(owner)
        self._starts = np.flatnonzero(np.diff(self._owner, prepend=-1))

    def weigh(self, weights: NDArray[np.uint16]) -> Weighed:
        """weights: [R, responses]."""
        counts = [np.zeros((len(weights), self._cells), dtype=np.float32) for _ in range(2)]
        for start in range(0, weights.shape[1], _BLOCK):
            block = weights[:, start : start + _BLOCK].astype(np.float32)
            size = block.shape[1]
            here = (self._response >= start) & (self._response < start + size)
            for total, kind in zip(counts, (self._bad, ~self._bad), strict=True):
                taken = here & kind
                places = (self._response[taken] - start) * self._cells + self._cell[taken]
                counted = np.bincount(places, minlength=size * self._cells).reshape(size, self._cells)
                total += block @ counted.astype(np.float32)
        return Weighed(counts[0].astype(np.float64), counts[1].astype(np.float64), self._owner, self._starts)


@dataclass(frozen=True)
class Weighed:
    """bad, good: [R, cells], the weight of such tokens in each cell.  owner: the group of each cell.  starts: the first
    cell of each group."""

    bad: Floats
    good: Floats
    owner: Ints
    starts: Ints

    @property
    def auroc(self) -> Floats:
        """[R]"""
        below = np.cumsum(self.good, axis=1) - self.good
        base = below[:, self.starts[np.searchsorted(self.starts, np.arange(len(self.owner)), "right") - 1]]
        won = (self.bad * (below - base + self.good / 2)).sum(axis=1)
        pairs = (np.add.reduceat(self.bad, self.starts, 1) * np.add.reduceat(self.good, self.starts, 1)).sum(axis=1)
        with np.errstate(invalid="ignore"):
            found: Floats = won / np.where(pairs > 0, pairs, np.nan)
        return found

    @property
    def average_precision(self) -> Floats:
        """[R]; for cells without groups."""
        hits = self.bad[:, ::-1]
        found = np.cumsum(hits, axis=1)
        seen = found + np.cumsum(self.good[:, ::-1], axis=1)
        precision = found / np.where(seen > 0, seen, 1.0)
        with np.errstate(invalid="ignore"):
            mean: Floats = (hits * precision).sum(axis=1) / np.where(found[:, -1] > 0, found[:, -1], np.nan)
        return mean


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
