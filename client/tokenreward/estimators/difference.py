"""The contrast as it is: d_t without a transform, for consumers that have a transform of their own.

d_t = log p(y_t | x_better, y_<t) - log p(y_t | x_worse, y_<t)

The rewards are unbounded. `tokenreward.advantages` has what RLSD and CEPO make of them.
"""

from __future__ import annotations

from tokenreward.estimators.base import Estimator, as_it_is
from tokenreward.estimators.contrast import difference

DIFFERENCE = Estimator(
    name="difference",
    branches=("better", "worse"),
    formula="logp_better - logp_worse",
    difference=difference,
    transform=as_it_is,
    source="the d_t of T-REG, arXiv 2412.02685, eq. 3",
    unbounded=True,
)
