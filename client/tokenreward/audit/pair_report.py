"""Measuring the labels on one set of preference pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tokenreward.audit.measures import pairs
from tokenreward.audit.measures.judged_tokens import SURPRISAL
from tokenreward.audit.measures.pairs import Margins, PairReport
from tokenreward.audit.measures.ranks import Floats
from tokenreward.audit.measures.surroundings import surroundings_of
from tokenreward.audit.plan import Label
from tokenreward.audit.report import Failure
from tokenreward.audit.scored import Scored, Scores
from tokenreward.audit.sets import PairItem, PairSet
from tokenreward.errors import BadInput
from tokenreward.statistics.bootstrap import Resamples


def pair_report(
    found: PairSet, scores: Scores, labels: Sequence[Label], failures: list[Failure], seed: int, resamples: int
) -> PairReport:
    """Measure every label and baseline on one set.

    Args:
        found: The set.
        scores: The scored responses.
        labels: The labels.
        failures: Pairs that could not be scored are added to it.
        seed: Of the resamples and of the random baseline.
        resamples: How many resamples the intervals are from.

    Raises:
        BadInput: No pair could be scored.
    """
    both = []
    for item in found.items:
        sides = _sides(item, scores)
        if error := next((side.error for side in sides if side.error is not None), None):
            failures.append(Failure(found.name, item.id, error))
        else:
            both.append(sides)
    if not both:
        raise BadInput(f"{found.name}: none of its pairs could be scored")
    longer = np.array([len(chosen.token_ids) - len(rejected.token_ids) for chosen, rejected in both], dtype=np.float64)
    centre = float(np.concatenate([side.plain for sides in both for side in sides]).mean())
    margins = {SURPRISAL: _margins([[np.tanh((side.plain - centre) / 2) / 2 for side in sides] for sides in both])}
    margins |= pairs.baselines(longer, _longer_steps(both), found.name, seed)
    for label in labels:
        margins[label.name] = _margins([[side.rewards(label).astype(np.float64) for side in sides] for sides in both])
    figures = pairs.measure(longer, margins, SURPRISAL, Resamples(found.name, len(both), seed, resamples))
    return PairReport(found.name, len(both), float((longer > 0).mean() + 0.5 * (longer == 0).mean()), figures)


def _sides(item: PairItem, scores: Scores) -> tuple[Scored, Scored]:
    chosen, rejected = item.responses
    return scores.of(chosen), scores.of(rejected)


def _longer_steps(both: Sequence[tuple[Scored, Scored]]) -> Floats:
    """Return the mean tokens of a step of each chosen response less that of the rejected one, float64 `[P]`."""
    sizes = [
        [len(side.token_ids) / max(1, surroundings_of(side.text, side.offsets).steps) for side in sides]
        for sides in both
    ]
    return np.array([chosen - rejected for chosen, rejected in sizes])


def _margins(rewards: Sequence[Sequence[Floats]]) -> Margins:
    """Return the margins, given the rewards of each pair's chosen and rejected response."""
    total = np.array([chosen.sum() - rejected.sum() for chosen, rejected in rewards])
    mean = np.array([chosen.mean() - rejected.mean() for chosen, rejected in rewards])
    return Margins(total, mean)
