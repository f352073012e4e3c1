"""The interface of an estimator: the branches it reads, and one pure function from their log-probs to rewards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenreward.schema import digest

LogProbs = NDArray[np.float32]
Rewards = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Estimator:
    """A contrast of prompt log-probs of one model.

    Attributes:
        name: The name that clients ask for.
        branches: The template's branches that it needs, in the order in which they are scored.
        formula: The function for people. It is part of the hash.
        rewards: {branch: float32 `[T]` log-probs} -> float32 `[T]` in [-0.5, 0.5]. It is pure, and defined for every
            finite input.
        version: Bumped when the function changes.
    """

    name: str
    branches: tuple[str, ...]
    formula: str
    rewards: Callable[[Mapping[str, LogProbs]], Rewards]
    version: int = 1

    @property
    def hash(self) -> str:
        """The hash of name, branches, formula and version."""
        return digest({"name": self.name, "branches": self.branches, "formula": self.formula, "version": self.version})


def squash(difference: NDArray[np.float32]) -> Rewards:
    """Return sigmoid(d) - 1/2 (T-REG, arXiv 2412.02685, eq. 3), float32 in [-0.5, 0.5].

    It is computed as tanh(d/2)/2, whose float32 form does not saturate early.
    """
    squashed: Rewards = np.tanh(difference * np.float32(0.5), dtype=np.float32) * np.float32(0.5)
    return squashed
