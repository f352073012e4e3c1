"""Contrastive self-distillation on sibling answers (RLCSD, arXiv 2606.11709).

d_t = log p(y_t | x, right sibling, y_<t) - mean_k log p(y_t | x, wrong sibling k, y_<t)
r_t = tanh(d_t / tau) / 2

Each sibling is shown under the same wrapper, and the scored response is never among them: a model that is shown the
very response copies it. The authors' code has tau = 0.03. Its tanh lies in [-1, 1]; it is halved here.
"""

from __future__ import annotations

import numpy as np

from tokenreward.estimators.base import Difference, Estimator, Evidence, Rewards
from tokenreward.estimators.parameters import Parameter, Parameters


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    wrong = np.atleast_2d(evidence.logprobs["wrong"])
    baseline: Difference = wrong.mean(axis=0, dtype=np.float64)
    return evidence.logprobs["right"] - baseline


def _sharpened(d: Difference, parameters: Parameters) -> Rewards:
    rewards: Rewards = (np.tanh(d / parameters["tau"]) / 2).astype(np.float32)
    return rewards


RLCSD = Estimator(
    name="rlcsd",
    branches=("right", "wrong"),
    formula="tanh((logp_right - mean_k logp_wrong[k]) / tau) / 2",
    difference=_difference,
    transform=_sharpened,
    template="siblings",
    source="RLCSD, arXiv 2606.11709, and its code",
    parameters={
        "tau": Parameter(0.03, 1e-4, 100.0, "the scale of the difference, in nats"),
        "k": Parameter(3, 1, 16, "how many wrong siblings are shown at most", whole=True),
    },
    repeated={"wrong": "k"},
)
