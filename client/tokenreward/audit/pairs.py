"""What an audit says of preference pairs: does a response's sum, or mean, of rewards prefer the better one?

Length-controlled: the accuracy among pairs whose chosen response has more tokens, and that among pairs where it has
fewer, each counted half; pairs of equal length belong half to either. A rule that only goes by which one is longer has
1 in one of them and 0 in the other, so it gets exactly 0.5, whatever the data's own bias.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.bootstrap import Resamples, Sampled

Floats = NDArray[np.float64]

RANDOM, LENGTH = "random", "length"


@dataclass(frozen=True)
class Margins:
    """[P] each, chosen less rejected: of the sums and of the means of rewards."""

    total: Floats
    mean: Floats


@dataclass(frozen=True)
class PairFigures:
    """One label on one set of pairs: accuracies by mean and by sum of rewards (ties count half), each also with length
    controlled, and the accuracy's gain (by mean) over surprisal's, paired."""

    mean: Sampled
    total: Sampled
    mean_controlled: Sampled
    total_controlled: Sampled
    gain: Sampled


@dataclass(frozen=True)
class PairReport:
    """One set of pairs. longer: the share whose chosen response has more tokens.  figures: by label."""

    name: str
    pairs: int
    longer: float
    figures: Mapping[str, PairFigures]


def baselines(longer: Floats, name: str, seed: int) -> dict[str, Margins]:
    """longer: [P], tokens of the chosen less those of the rejected response."""
    chance = np.random.default_rng([seed, zlib.crc32(name.encode()), 2]).uniform(-1, 1, len(longer))
    return {RANDOM: Margins(chance, chance), LENGTH: Margins(longer, longer)}


def measure(
    longer: Floats, margins: Mapping[str, Margins], surprisal: str, resamples: Resamples
) -> dict[str, PairFigures]:
    found = {}
    base = resamples.mean(won(margins[surprisal].mean))
    for name, margin in margins.items():
        by_mean, by_sum = won(margin.mean), won(margin.total)
        accuracy = resamples.mean(by_mean)
        found[name] = PairFigures(
            mean=accuracy,
            total=resamples.mean(by_sum),
            mean_controlled=controlled(by_mean, longer, resamples),
            total_controlled=controlled(by_sum, longer, resamples),
            gain=accuracy - base,
        )
    return found


def won(margins: Floats) -> Floats:
    """1 for a pair put in the right order, 0 for the wrong one, 0.5 for a tie."""
    return (margins > 0) + 0.5 * (margins == 0)


def controlled(right: Floats, longer: Floats, resamples: Resamples) -> Sampled:
    """The mean of `right` [P] with length controlled, see the module; NaN if one of its halves has no pairs."""
    halves = [resamples.mean(right, (longer * sign > 0) + 0.5 * (longer == 0)) for sign in (1, -1)]
    return (halves[0] + halves[1]) / 2
