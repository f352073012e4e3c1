"""Running sums over groups of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass
class Sums:
    """Running sums over groups.

    Attributes:
        size: How many groups there are.
        count: float64 `[size]`, how many values each group has.
        total: float64 `[size]`, their sums.
    """

    size: int
    count: Floats = field(init=False)
    total: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.count, self.total = np.zeros(self.size), np.zeros(self.size)

    def add(self, groups: NDArray[np.int64], values: Floats) -> None:
        """Add values, each to the group with its number."""
        self.count += np.bincount(groups, minlength=self.size)
        self.total += np.bincount(groups, weights=values, minlength=self.size)

    @property
    def mean(self) -> Floats:
        """The mean of each group, NaN for one without values."""
        with np.errstate(invalid="ignore"):
            return self.total / self.count
