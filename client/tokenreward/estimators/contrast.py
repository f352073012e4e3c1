"""Contrastive prompting, the paper's estimator (T-REG, arXiv 2412.02685, eq. 3).

r_t = sigmoid(d_t) - 1/2,  d_t = log p(y_t | x_better, y_<t) - log p(y_t | x_worse, y_<t)
"""

from __future__ import annotations

from collections.abc import Mapping

from tokenreward.estimators.base import Estimator, LogProbs, Rewards, squash


def _rewards(logprobs: Mapping[str, LogProbs]) -> Rewards:
    return squash(logprobs["better"] - logprobs["worse"])


CONTRAST = Estimator(
    name="contrast",
    branches=("better", "worse"),
    formula="sigmoid(logp_better - logp_worse) - 1/2",
    rewards=_rewards,
)
