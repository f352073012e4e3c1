"""TIS-DPO's importance estimate (arXiv 2410.04350) from two contexts, scaled to the range of rewards.

d_t = log p(y_t | x_better, y_<t) - log p(y_t | x_worse, y_<t)
r_t = clip(d_t, -c, c) / (2 c)

The authors' code clamps d_t to c = 1.5 and maps it to a token weight in [0.7, 1.3]. That weight is 1 + 0.6 r_t, which
is the trainer's business.
"""

from __future__ import annotations

import numpy as np

from tokenreward.estimators.base import Difference, Estimator, Rewards
from tokenreward.estimators.contrast import difference
from tokenreward.estimators.parameters import Parameter, Parameters


def _clamped(d: Difference, parameters: Parameters) -> Rewards:
    clamp = parameters["clamp"]
    return (np.clip(d, -clamp, clamp) / (2 * clamp)).astype(np.float32)


TIS = Estimator(
    name="tis",
    branches=("better", "worse"),
    formula="clip(logp_better - logp_worse, -clamp, clamp) / (2 clamp)",
    difference=difference,
    transform=_clamped,
    template="opposite",
    source="TIS-DPO, arXiv 2410.04350, and its code",
    parameters={"clamp": Parameter(1.5, 1e-3, 100.0, "the |difference| from which a reward is 0.5")},
)
