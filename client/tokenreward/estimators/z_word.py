"""How much less likely a word is than the model expected of its own prediction. It is ours.

    z_t = (log p_t + H_t) / sqrt(V_t + 1/4)
    r_t = sigmoid(s (n_t - c)) - 1/2, where n comes from z as `word_minimum` says

H is the entropy of the prediction and V the variance of log p under it, so z is the log-prob less its expectation,
over its spread. Where many tokens would do, an unlikely one is no error; where the model was sure, a small loss is one.
Of text that the model writes itself, z is 0 in the mean at every place, so good tokens' rewards do not drift along a
response, and nothing has to be subtracted of what stands around. 1/4 keeps a prediction without any spread from blowing
up rounding errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenreward.estimators.base import Difference, Estimator, Evidence
from tokenreward.estimators.parameters import Parameters
from tokenreward.estimators.word_minimum import (
    neighbour_parameters,
    reward_parameters,
    scaled,
    with_neighbours,
    word_minimum,
)

_SPREAD = 0.25


def normalised(evidence: Evidence) -> NDArray[np.float64]:
    """Return z of the plain branch, float64 `[T]`."""
    moments, logprobs = evidence.moments["plain"], evidence.logprobs["plain"].astype(np.float64)
    found: NDArray[Any] = (logprobs + moments.entropy) / np.sqrt(moments.variance + _SPREAD)
    return found.astype(np.float64)


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    return with_neighbours(word_minimum(evidence, normalised(evidence)), parameters) - parameters["centre"]


Z_WORD = Estimator(
    name="z_word",
    branches=("plain",),
    formula="z = (logp + H) / sqrt(V + 1/4); m = min of z over the word; n = (m + weight G_{before,after}(m)) / (1 + "
    "weight); sigmoid(scale (n - centre)) - 1/2",
    difference=_difference,
    transform=scaled,
    template="plain",
    source="ours; found on development data (docs/label-quality.md)",
    parameters={**neighbour_parameters(), **reward_parameters(centre=-0.15, scale=1.0)},
    moments=True,
    text=True,
)
