"""Intervals by resampling responses: the tokens of one response are not independent, but responses are.

All statistics of a set are measured on the same resamples, so that differences between them are paired.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A value and its 95% interval (percentiles of the bootstrap).

    Attributes:
        value: The value on the data.
        low: The lower end, NaN where there is no interval.
        high: The upper end.
    """

    value: float
    low: float
    high: float

    def above(self, bound: float) -> bool:
        """Return whether the whole interval lies above `bound`. It never does where there is no interval."""
        return self.low > bound

    def below(self, bound: float) -> bool:
        """Return whether the whole interval lies below `bound`."""
        return self.high < bound

    def triple(self) -> list[float]:
        """Return value, low and high."""
        return [self.value, self.low, self.high]


@dataclass(frozen=True)
class Sampled:
    """A statistic on the data and on every resample.

    Attributes:
        value: On the data.
        draws: float64 `[R]`, on the resamples; NaN where a resample does not define it.
    """

    value: float
    draws: Floats

    @property
    def interval(self) -> Interval:
        """The value with its interval."""
        known = self.draws[np.isfinite(self.draws)]
        if not len(known):
            return Interval(self.value, float("nan"), float("nan"))
        low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(self.value, float(low), float(high))

    def __sub__(self, other: Sampled) -> Sampled:
        """Return the paired difference. Both must be of the same resamples."""
        return Sampled(self.value - other.value, self.draws - other.draws)

    def __add__(self, other: Sampled) -> Sampled:
        return Sampled(self.value + other.value, self.draws + other.draws)

    def __truediv__(self, by: float) -> Sampled:
        return Sampled(self.value / by, self.draws / by)


def mean(parts: Sequence[Sampled]) -> Sampled:
    """Return the mean over several sets, each counted alike. Those without a value are left out.

    The sets' resamples are independent, so their draws may be added as they come.
    """
    known = [part for part in parts if np.isfinite(part.value)]
    return sum(known[1:], start=known[0]) / len(known) if known else parts[0]


class Resamples:
    """How often each of `count` responses is in each resample. The same name, count and seed give the same resamples.

    Attributes:
        weights: uint16 `[draws, count]`.
    """

    def __init__(self, name: str, count: int, seed: int = 0, draws: int = RESAMPLES) -> None:
        chance = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self.weights = np.empty((draws, count), dtype=np.uint16)
        for row in self.weights:
            row[:] = np.bincount(chance.integers(0, count, count), minlength=count)

    def mean(self, values: Floats) -> Sampled:
        """Return the mean of one value for each response. NaN values are left out."""
        known = np.isfinite(values)
        filled = np.where(known, values, 0.0)
        with np.errstate(invalid="ignore"):
            draws = (self.weights @ filled) / (self.weights @ known.astype(np.float64))
        return Sampled(float(filled.sum() / known.sum()) if known.any() else float("nan"), draws)
