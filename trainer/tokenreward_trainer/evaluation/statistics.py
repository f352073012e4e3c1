"""From answers and scores to means with intervals, and to paired differences from the baseline.

The unit is the prompt: several answers to one prompt are not independent, prompts are. All checkpoints are measured on
the same resamples of prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tokenreward.statistics.bootstrap import Resamples
from tokenreward_trainer.evaluation.answers import Answers
from tokenreward_trainer.evaluation.result import METRICS, Difference, Slice
from tokenreward_trainer.evaluation.scores import Scores
from tokenreward_trainer.prompts.grouping import group_of
from tokenreward_trainer.resumable.segments import Row

Floats = NDArray[np.float64]
#: metric -> one value a prompt, the mean over its answers; NaN where no answer has a value
Values = dict[str, Floats]


def values_of(answers: Sequence[Answers], scores: Mapping[str, Scores]) -> dict[str, Values]:
    """Computes one value a prompt for each checkpoint and metric.

    Args:
        answers: The answers of each checkpoint.
        scores: Their scores, by checkpoint.

    Returns:
        By checkpoint, its values. `right` is there only if all scores lie in [0, 1], where 1 is fully right.
    """
    found: dict[str, Values] = {}
    known = [score for rows in scores.values() for row in rows for score in row if score is not None]
    bounded = bool(known) and min(known) >= 0 and max(known) <= 1
    for one in answers:
        values = {
            "tokens": _means([[answer.tokens for answer in row] for row in one.given]),
            "finished": _means([[answer.finished for answer in row] for row in one.given]),
        }
        if one.name in scores:
            given = [[score for score in row if score is not None] for row in scores[one.name]]
            values["score"] = _means(given)
            if bounded:
                values["right"] = _means([[score == 1 for score in row] for row in given])
        found[one.name] = {metric.name: values[metric.name] for metric in METRICS if metric.name in values}
    return found


def slices_of(rows: Sequence[Row], values: Mapping[str, Values]) -> list[Slice]:
    """Measures all prompts, then those of each family and level where the rows have such columns and differ in them.

    Args:
        rows: The prompts.
        values: By checkpoint, its values; the first is the baseline.
    """
    places: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if name := group_of(row):
            places.setdefault(name, []).append(number)
    parts = [(name, np.array(where)) for name, where in sorted(places.items())] if len(places) > 1 else []
    return [_slice(name, where, values) for name, where in [("all", np.arange(len(rows))), *parts]]


def _slice(name: str, where: NDArray[np.int64], values: Mapping[str, Values]) -> Slice:
    resamples = Resamples(name, len(where))
    baseline, *others = values
    means = {
        model: {metric: resamples.mean(column[where]).interval for metric, column in columns.items()}
        for model, columns in values.items()
    }
    differences = {
        model: {
            metric: difference_of(column[where], values[baseline][metric][where], resamples)
            for metric, column in values[model].items()
        }
        for model in others
    }
    return Slice(name, len(where), means, differences)


def difference_of(values: Floats, baseline: Floats, resamples: Resamples) -> Difference:
    """Compares two columns of values over the prompts at which both have one."""
    gaps = values - baseline
    higher, lower = int((gaps > 0).sum()), int((gaps < 0).sum())
    equal = int((gaps == 0).sum())
    return Difference(resamples.mean(gaps).interval, higher, lower, equal, sign_test(higher, lower))


def sign_test(higher: int, lower: int) -> float:
    """Returns the two-sided exact p-value of `higher` and `lower` prompts, each as likely as the other."""
    from scipy.stats import binomtest

    return float(binomtest(higher, higher + lower, 0.5).pvalue) if higher + lower else 1.0


def _means(rows: Sequence[Sequence[float]]) -> Floats:
    return np.array([float(np.mean(row)) if len(row) else np.nan for row in rows], dtype=np.float64)
