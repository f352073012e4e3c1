"""What the question itself adds: the plain log-prob against the mean under unrelated questions.

d_t = log p(y_t | x, y_<t) - mean_k log p(y_t | x_k, y_<t)
r_t = sigmoid(d_t) - 1/2

CREDIT (arXiv 2605.11613) subtracts such a baseline from the log-prob under feedback. Its exact form could not be read
at the source, so it is not offered under its name; this is the baseline with the plain question.
"""

from __future__ import annotations

import numpy as np

from tokenreward.estimators.base import Difference, Estimator, Evidence
from tokenreward.estimators.parameters import Parameter, Parameters


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    others = np.atleast_2d(evidence.logprobs["unrelated"])
    baseline: Difference = others.mean(axis=0, dtype=np.float64)
    return evidence.logprobs["plain"] - baseline


UNRELATED = Estimator(
    name="unrelated",
    branches=("plain", "unrelated"),
    formula="sigmoid(logp_plain - mean_k logp_unrelated[k]) - 1/2",
    difference=_difference,
    template="unrelated",
    source="ours, after CREDIT's baseline (arXiv 2605.11613)",
    parameters={"k": Parameter(3, 1, 16, "how many unrelated questions are asked at most", whole=True)},
    repeated={"unrelated": "k"},
)
