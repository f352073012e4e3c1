"""AUROC and average precision for every resample of responses at once.

A resample gives each response a weight, which is how often it was drawn. That does not change the order of tokens, so
they are counted once, by response, in cells of that order; a thousand resamples are then one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.measures.ranks import Flags, Floats, Ints, ordered_keys

#: Most distinct scores of bad tokens that cells tell apart. Up to so many, resamples are exact; beyond, bad and good
#: tokens that lie closer than the next of these scores count as ties. That moves an AUROC over all tokens by less than
#: 1 / THRESHOLDS. G groups share the thresholds, so an AUROC within groups may move by up to about G / (2 THRESHOLDS),
#: towards 0.5; on the development data it was at most 0.002. With hundreds of groups that is too much, which
#: `auroc_in_parts` is for.
THRESHOLDS = 256
#: Responses whose counts are in memory at a time.
_BLOCK = 2048


class Cells:
    """The tokens of every response, counted in cells along the order of (group, score).

    Every score that a bad token has is a cell, and so is the range between two of them.
    """

    def __init__(
        self, scores: Floats, bad: Flags, response: Ints, group: Ints | None = None, thresholds: int = THRESHOLDS
    ) -> None:
        key, _ = ordered_keys(scores, group)
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
        """Return the cells' weights in each resample, from the responses' weights, uint16 `[R, responses]`."""
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
    """The weights of all cells in `R` resamples.

    Attributes:
        bad: float64 `[R, cells]`, the weight of bad tokens.
        good: float64 `[R, cells]`, the weight of good tokens.
        owner: int64 `[cells]`, the group of each cell.
        starts: The first cell of each group.
    """

    bad: Floats
    good: Floats
    owner: Ints
    starts: Ints

    @property
    def compared(self) -> tuple[Floats, Floats]:
        """float64 `[R]` each: how many (bad, good) pairs are in the right order, and how many there are."""
        below = np.cumsum(self.good, axis=1) - self.good
        base = below[:, self.starts[np.searchsorted(self.starts, np.arange(len(self.owner)), "right") - 1]]
        won = (self.bad * (below - base + self.good / 2)).sum(axis=1)
        pairs = (np.add.reduceat(self.bad, self.starts, 1) * np.add.reduceat(self.good, self.starts, 1)).sum(axis=1)
        return won, pairs

    @property
    def auroc(self) -> Floats:
        """float64 `[R]`: the AUROC of each resample."""
        return _share(*self.compared)

    @property
    def average_precision(self) -> Floats:
        """float64 `[R]`: the average precision of each resample, for cells without groups."""
        hits = self.bad[:, ::-1]
        found = np.cumsum(hits, axis=1)
        seen = found + np.cumsum(self.good[:, ::-1], axis=1)
        precision = found / np.where(seen > 0, seen, 1.0)
        with np.errstate(invalid="ignore"):
            mean: Floats = (hits * precision).sum(axis=1) / np.where(found[:, -1] > 0, found[:, -1], np.nan)
        return mean


def auroc_in_parts(
    scores: Floats, bad: Flags, response: Ints, group: Ints, part: Ints, weights: NDArray[np.uint16]
) -> Floats:
    """Return the AUROC of each resample among tokens of one group and part, float64 `[R]`.

    Each part has thresholds of its own, as those of one `Cells` are too few for the groups of many parts.

    Args:
        scores: float64 `[N]`, high for what looks wrong.
        bad: bool `[N]`.
        response: int64 `[N]`, which response a token is of.
        group: int64 `[N]`.
        part: int64 `[N]`, the same for all tokens of a response.
        weights: uint16 `[R, responses]`, the responses' weights in each resample.
    """
    won, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for number in np.unique(part):
        here = part == number
        own, places = np.unique(response[here], return_inverse=True)
        found = Cells(scores[here], bad[here], places, group[here]).weigh(weights[:, own]).compared
        won, pairs = won + found[0], pairs + found[1]
    return _share(won, pairs)


def _share(won: Floats, pairs: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        found: Floats = won / np.where(pairs > 0, pairs, np.nan)
    return found
