"""What an audit says of preference pairs: does a response's sum, or mean, of rewards prefer the better one?

Length-controlled: pairs whose chosen response has more tokens and pairs where it has fewer count alike, whatever
their numbers; pairs of equal length keep their share. A rule that only goes by which response is longer is right in all
of one kind and in none of the other, and has no opinion where they are equal: it gets exactly 0.5, whatever the data's
own bias.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from tokenreward.statistics.bootstrap import Resamples, Sampled, mean

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


def overall(parts: Sequence[PairFigures]) -> PairFigures:
    """The mean over sets, each counted alike; of what is not defined in a set, over the others."""
    return PairFigures(
        **{field.name: mean([getattr(part, field.name) for part in parts]) for field in fields(PairFigures)}
    )


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
    found: Floats = (margins > 0) + 0.5 * (margins == 0)
    return found


def controlled(right: Floats, longer: Floats, resamples: Resamples) -> Sampled:
    """The mean of `right` [P] with length controlled, see the module; NaN if just one of longer and shorter occurs."""

    def at(weights: Floats) -> Floats:
        """weights: [R, P] -> [R]."""
        counted = [weights @ kind.astype(np.float64) for kind in kinds]
        won = [weights @ (kind * right) for kind in kinds]
        unequal, equal = counted[0] + counted[1], counted[2]
        with np.errstate(invalid="ignore", divide="ignore"):
            even: Floats = np.where(unequal > 0, unequal * (won[0] / counted[0] + won[1] / counted[1]) / 2, 0.0)
            found: Floats = (even + won[2]) / (unequal + equal)
        return found

    kinds = (longer > 0, longer < 0, longer == 0)
    return Sampled(float(at(np.ones((1, len(right))))[0]), at(resamples.weights.astype(np.float64)))
