"""The probability of a token in a corrected solution (RLMEC, arXiv 2401.06081).

p_t = p_G(y_t | "correct this": problem, solution, y_<t)
r_t = clip(p_t - 1/2, 0, 1/2) for a right solution, clip(p_t - 1/2, -0.1, 0) for a wrong one

G is a model that was trained to correct with few edits. The context field `outcome` says which case it is.
"""

from __future__ import annotations

import numpy as np

from tokenreward.errors import BadInput
from tokenreward.estimators.base import Difference, Estimator, Evidence, as_it_is
from tokenreward.estimators.parameters import Parameters

#: The range of rewards by outcome.
_RANGES = {"right": (0.0, 0.5), "wrong": (-0.1, 0.0)}


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    outcome = evidence.context.get("outcome")
    if not isinstance(outcome, str) or outcome not in _RANGES:
        raise BadInput(f"context field 'outcome' is {outcome!r}; estimator 'rlmec' needs 'right' or 'wrong'")
    probability = np.exp(evidence.logprobs["correct"].astype(np.float64))
    return np.clip(probability - 0.5, *_RANGES[outcome])


RLMEC = Estimator(
    name="rlmec",
    branches=("correct",),
    formula="right: clip(p_correct - 1/2, 0, 1/2); wrong: clip(p_correct - 1/2, -0.1, 0)",
    difference=_difference,
    transform=as_it_is,
    template="correct",
    source="RLMEC, arXiv 2401.06081",
    fields=("outcome",),
)
