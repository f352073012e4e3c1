"""Where rewards go right and wrong: by their size, by place in the response, by its length, and by kind of word."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.measures.ranks import Flags, Floats, Ints, auroc
from tokenreward.audit.measures.surroundings import KINDS
from tokenreward.statistics.labeled_rewards import LENGTHS, PARTS

#: Bins of a calibration. They hold equally many tokens, and there are fewer where rewards are equal.
BINS = 10


@dataclass(frozen=True)
class Group:
    """Some of a set's tokens. A mean without tokens is NaN.

    Attributes:
        name: Which tokens they are.
        tokens: How many there are.
        share_bad: The share of bad ones.
        reward: Their mean reward.
        inside: The mean reward of the bad ones.
        outside: The mean reward of the good ones.
        auroc: The AUROC among them.
    """

    name: str
    tokens: int
    share_bad: float
    reward: float
    inside: float
    outside: float
    auroc: float


def by_reward(rewards: Floats, bad: Flags) -> list[Group]:
    """Group tokens by their reward, for a calibration: the share of bad tokens should fall as rewards rise."""
    edges = np.unique(np.quantile(rewards, np.arange(1, BINS) / BINS)) if len(rewards) else np.array([])
    bins = np.searchsorted(edges, rewards, side="right")
    bounds = [-0.5, *edges.tolist(), 0.5]
    names = [f"{low:+.3f} .. {high:+.3f}" for low, high in pairwise(bounds)]
    return _groups(bins, names, rewards, bad)


def by_place(place: Floats, rewards: Floats, bad: Flags) -> list[Group]:
    """Group tokens by where they stand in their response: `place` is `[N]` in [0, 1)."""
    names = [f"{100 * n // PARTS}% .. {100 * (n + 1) // PARTS}%" for n in range(PARTS)]
    return _groups((place * PARTS).astype(np.int64), names, rewards, bad)


def by_length(length: Ints, rewards: Floats, bad: Flags) -> list[Group]:
    """Group tokens by the length of their response: `length` is `[N]`, in tokens."""
    names = [f"up to {n}" for n in LENGTHS] + [f"above {LENGTHS[-1]}"]
    return _groups(np.searchsorted(LENGTHS, length), names, rewards, bad)


def by_kind(kind: Ints, rewards: Floats, bad: Flags) -> list[Group]:
    """Group tokens by the kind of their word: `kind` is `[N]`, indices into KINDS."""
    return _groups(kind, list(KINDS), rewards, bad)


def _groups(group: NDArray[np.integer], names: list[str], rewards: Floats, bad: Flags) -> list[Group]:
    """Return those of the named groups that have tokens."""
    found = []
    for number, name in enumerate(names):
        here = group == number
        if here.any():
            found.append(_group(name, rewards[here], bad[here]))
    return found


def _group(name: str, rewards: Floats, bad: Flags) -> Group:
    return Group(
        name=name,
        tokens=len(rewards),
        share_bad=float(bad.mean()),
        reward=_mean(rewards),
        inside=_mean(rewards[bad]),
        outside=_mean(rewards[~bad]),
        auroc=auroc(-rewards, bad),
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
