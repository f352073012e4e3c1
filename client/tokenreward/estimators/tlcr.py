"""Token-level continuous rewards of a trained classifier (TLCR, arXiv 2407.16574).

r_t = (p(positive) - p(negative)) / 2

A token classifier judges every token of the response where it has read it: positive (an edit that improves puts such
tokens in), negative (it takes them out) or neutral. Its row is log q_t with q_t = p(positive) + p(neutral) / 2, the
probability that the token is good where a neutral one counts half, so that p(positive) - p(negative) = 2 q_t - 1.
"""

from __future__ import annotations

import numpy as np

from tokenreward.estimators.base import Difference, Estimator, Evidence, Rewards
from tokenreward.estimators.parameters import Parameters


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    good: Difference = np.exp(evidence.logprobs["plain"].astype(np.float64))
    return 2 * good - 1


def _halved(difference: Difference, parameters: Parameters) -> Rewards:
    return np.clip(difference / 2, -0.5, 0.5).astype(np.float32)


TLCR = Estimator(
    name="tlcr",
    branches=("plain",),
    formula="(p(positive) - p(negative)) / 2 by a token classifier",
    difference=_difference,
    transform=_halved,
    template="plain",
    source="TLCR, arXiv 2407.16574",
    reads="judgements",
)
