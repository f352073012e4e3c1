"""The token reward of Reinforced Token Optimization (RTO, arXiv 2404.18922), as its authors' code has it.

d_t = log p_strong(y_t | x, y_<t) - log p_weak(y_t | x, y_<t)
r_t = clip(s d_t, -c, c)

The strong model is a DPO policy and the weak one its reference; the code (`_compute_dpo_rewards`, and its training
script) has s = c = 0.05. RTO adds r_t to the KL penalty and to the score of the whole response, which is for PPO to do.
"""

from __future__ import annotations

import numpy as np

from tokenreward.estimators.base import MOST_REWARD, Difference, Estimator, Rewards
from tokenreward.estimators.contrast import difference
from tokenreward.estimators.parameters import Parameter, Parameters


def _scaled_and_clamped(d: Difference, parameters: Parameters) -> Rewards:
    scaled = parameters["scale"] * d.astype(np.float64)
    return np.clip(scaled, -parameters["clamp"], parameters["clamp"]).astype(np.float32)


RTO = Estimator(
    name="rto",
    branches=("better", "worse"),
    formula="clip(scale (logp_better - logp_worse), -clamp, clamp)",
    difference=difference,
    transform=_scaled_and_clamped,
    template="strong-weak",
    source="RTO, arXiv 2404.18922, and its code",
    parameters={
        "scale": Parameter(0.05, 1e-6, 100.0, "what the difference is multiplied with"),
        "clamp": Parameter(0.05, 1e-6, MOST_REWARD, "the largest |reward|"),
    },
)
