"""Figures of a set of preference pairs: does a response's sum, or mean, of rewards prefer the better one?

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

RANDOM, LENGTH, STEP_LENGTH = "random", "length", "step_length"


@dataclass(frozen=True)
class Margins:
    """Margins of `P` pairs, chosen less rejected.

    Attributes:
        total: float64 `[P]`, of the sums of rewards.
        mean: float64 `[P]`, of the means of rewards.
    """

    total: Floats
    mean: Floats


@dataclass(frozen=True)
class PairFigures:
    """One label on one set of pairs. Ties count half.

    Attributes:
        mean: The accuracy by mean reward.
        total: The accuracy by sum of rewards.
        mean_controlled: The accuracy by mean reward, with length controlled.
        total_controlled: The accuracy by sum of rewards, with length controlled.
        gain: The accuracy by mean reward less that of surprisal, paired.
    """

    mean: Sampled
    total: Sampled
    mean_controlled: Sampled
    total_controlled: Sampled
    gain: Sampled


def overall(parts: Sequence[PairFigures]) -> PairFigures:
    """Return the mean over sets, each counted alike.

    A figure that is not defined in a set is the mean over the others.
    """
    return PairFigures(
        **{field.name: mean([getattr(part, field.name) for part in parts]) for field in fields(PairFigures)}
    )


@dataclass(frozen=True)
class PairReport:
    """One set of pairs.

    Attributes:
        name: Its name.
        pairs: How many pairs there are.
        longer: The share whose chosen response has more tokens.
        figures: By label, baselines too.
    """

    name: str
    pairs: int
    longer: float
    figures: Mapping[str, PairFigures]


def baselines(longer: Floats, longer_steps: Floats, name: str, seed: int) -> dict[str, Margins]:
    """Return the margins of the random baseline and of those that prefer longer responses and longer steps.

    Position is none of them: its mean over a response says how long that is.

    Args:
        longer: float64 `[P]`, tokens of the chosen response less those of the rejected one.
        longer_steps: float64 `[P]`, the same of the mean tokens of a step.
        name: The set's name, which is part of the seed.
        seed: The audit's seed.
    """
    chance = np.random.default_rng([seed, zlib.crc32(name.encode()), 2]).uniform(-1, 1, len(longer))
    return {
        RANDOM: Margins(chance, chance),
        LENGTH: Margins(longer, longer),
        STEP_LENGTH: Margins(longer_steps, longer_steps),
    }


def measure(
    longer: Floats, margins: Mapping[str, Margins], surprisal: str, resamples: Resamples
) -> dict[str, PairFigures]:
    """Return the figures of every label.

    Args:
        longer: float64 `[P]`, tokens of the chosen response less those of the rejected one.
        margins: By label, baselines too.
        surprisal: The name of the baseline with which gains are computed.
        resamples: Resamples of the pairs.
    """
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
    """Return 1 for a pair put into the right order, 0 for the wrong one, and 0.5 for a tie."""
    found: Floats = (margins > 0) + 0.5 * (margins == 0)
    return found


def controlled(right: Floats, longer: Floats, resamples: Resamples) -> Sampled:
    """Return the mean of `right`, float64 `[P]`, with length controlled, see the module.

    It is NaN if only one of longer and shorter chosen responses occurs.
    """

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
