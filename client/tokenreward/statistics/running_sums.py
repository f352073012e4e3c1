"""Running sums over groups of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass
class Sums:
    """Running sums over groups: how many, their sum and sum of squares."""

    size: int
    count: Floats = field(init=False)
    total: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.count, self.total = np.zeros(self.size), np.zeros(self.size)

    def add(self, groups: NDArray[np.int64], values: Floats) -> None:
        self.count += np.bincount(groups, minlength=self.size)
        self.total += np.bincount(groups, weights=values, minlength=self.size)

    @property
    def mean(self) -> Floats:
        """NaN for a group with nothing in it."""
        with np.errstate(invalid="ignore"):
            return self.total / self.count
