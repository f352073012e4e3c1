"""Local evidence: what the question adds to the likelihood around a token. Ours, not the paper's.

d_t = G_1.7(log p(y | x))_t - 0.9 G_4(log p(y | null))_t,  r_t = sigmoid(d_t - mean_t d_t) - 1/2

`plain` is the bare prompt x; `null` is a prompt that knows nothing of the question but asks for a text of the same
kind, so that what is rare anyway (a name, a number) does not count as wrong. G_s is a Gaussian average over
neighbouring tokens with a standard deviation of s tokens, cut at 3 s and normalised where the response ends: an error
makes the tokens beside it unlikely too, and one token's log-prob says little. The three numbers are from a search on
development data (benchmarks/estimator_search.py, docs/label-quality.md). Less its mean, a response's rewards say which
of its tokens are better than others and nothing about the response as a whole, which the preference itself says.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tokenreward.estimators.base import Estimator, LogProbs, Rewards, squash

_WIDTH_PLAIN, _WIDTH_NULL, _WEIGHT_NULL = 1.7, 4.0, 0.9


def averaged(values: LogProbs, width: float) -> NDArray[np.float64]:
    """Gaussian average of `values` [T] over neighbours; `width` is its standard deviation in tokens."""
    reach = int(3 * width + 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    inside = slice(reach, reach + len(values))
    weights = np.convolve(np.ones(len(values)), kernel)[inside]
    averages: NDArray[np.float64] = np.convolve(values.astype(np.float64), kernel)[inside] / weights
    return averages


def _rewards(logprobs: Mapping[str, LogProbs]) -> Rewards:
    plain, null = averaged(logprobs["plain"], _WIDTH_PLAIN), averaged(logprobs["null"], _WIDTH_NULL)
    difference = plain - _WEIGHT_NULL * null
    return squash((difference - difference.mean()).astype(np.float32))


EVIDENCE = Estimator(
    name="evidence",
    branches=("plain", "null"),
    formula="d = G_1.7(logp_plain) - 0.9 G_4(logp_null); sigmoid(d - mean d) - 1/2",
    rewards=_rewards,
)
