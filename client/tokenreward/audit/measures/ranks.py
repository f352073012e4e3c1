"""AUROC and average precision of tokens, exact for the data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

STRATA = 10


def auroc(scores: Floats, bad: Flags, group: Ints | None = None) -> float:
    """Return the share of (bad, good) pairs of tokens whose bad one scores higher, ties counted half.

    Args:
        scores: float64 `[N]`, high for what looks wrong.
        bad: bool `[N]`.
        group: int64 `[N]`. Only pairs within a group are compared, so a group counts by its (bad x good) pairs.

    Returns:
        The share, or NaN without pairs.
    """
    won, pairs = _compared(scores, bad, group)
    total = float(pairs.sum())
    return float(won.sum()) / total if total else float("nan")


def auroc_by_response(scores: Floats, bad: Flags, response: Ints, responses: int) -> Floats:
    """Return the AUROC of each response, float64 `[responses]`, NaN for one without bad or without good tokens."""
    won, pairs = (
        np.bincount(response[bad], weights=part, minlength=responses) for part in _compared(scores, bad, response)
    )
    with np.errstate(invalid="ignore"):
        found: Floats = won / np.where(pairs > 0, pairs, np.nan)
    return found


def average_precision(scores: Floats, bad: Flags) -> float:
    """Return the mean over bad tokens of the precision at each one's score, ties together; NaN without bad tokens."""
    if not bad.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = np.cumsum(bad[order])[ends]
    return float(np.diff(found, prepend=0) @ (found / (ends + 1)) / found[-1])


def _compared(scores: Floats, bad: Flags, group: Ints | None) -> tuple[Floats, Floats]:
    """For every bad token, return how many good ones of its group it beats, and how many there are."""
    key, size = ordered_keys(scores, group)
    groups = np.zeros(len(scores), dtype=np.int64) if group is None else group
    goods = np.sort(key[~bad])
    first = np.searchsorted(goods, groups[bad] * size)
    last = np.searchsorted(goods, (groups[bad] + 1) * size)
    below, upto = np.searchsorted(goods, key[bad], "left"), np.searchsorted(goods, key[bad], "right")
    return (below + upto) / 2 - first, (last - first).astype(np.float64)


def ordered_keys(scores: Floats, group: Ints | None) -> tuple[Ints, int]:
    """Return whole numbers in the order of (group, score), and how far apart groups are."""
    values, rank = np.unique(scores, return_inverse=True)
    size = max(1, len(values))
    return (rank if group is None else group * size + rank), size


def strata(logprobs: Floats) -> Ints:
    """Return the decile of each log-prob among all of them. Equal log-probs share one."""
    edges = np.quantile(logprobs, np.arange(1, STRATA) / STRATA) if len(logprobs) else np.array([])
    return np.searchsorted(edges, logprobs, side="right").astype(np.int64)
