"""ROC curves, thinned for drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tokenreward.audit.measures.ranks import Flags, Floats


@dataclass(frozen=True)
class Curve:
    """A ROC curve from (0, 0) to (1, 1).

    Attributes:
        x: Shares of good tokens that score at least a threshold.
        y: Shares of bad tokens that do.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]


def roc(scores: Floats, bad: Flags, points: int = 120) -> Curve:
    """Return about `points` points of the curve, at most."""
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
