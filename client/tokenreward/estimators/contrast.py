"""Contrastive prompting, the paper's estimator (T-REG, arXiv 2412.02685, eq. 3).

r_t = sigmoid(d_t) - 1/2,  d_t = log p(y_t | x_better, y_<t) - log p(y_t | x_worse, y_<t)
"""

from __future__ import annotations

from tokenreward.estimators.base import Difference, Estimator, Evidence
from tokenreward.estimators.parameters import Parameters


def difference(evidence: Evidence, parameters: Parameters) -> Difference:
    """Return d_t, float32 `[T]`."""
    return evidence.logprobs["better"] - evidence.logprobs["worse"]


CONTRAST = Estimator(
    name="contrast",
    branches=("better", "worse"),
    formula="sigmoid(logp_better - logp_worse) - 1/2",
    difference=difference,
    source="T-REG, arXiv 2412.02685, eq. 3",
)
