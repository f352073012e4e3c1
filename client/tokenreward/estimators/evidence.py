"""Local evidence: what the question adds to the likelihood around a token. It is ours, not the paper's.

d_t = G_{1,3}(log p(y | x))_t - G_{4,4}(log p(y | null))_t
r_t = sigmoid(d_t - mean_t d_t + 0.75 (mean_t log p(y_t | null) + 2)) - 1/2

`plain` is the bare prompt x; `null` is a prompt that knows nothing of the question but asks for a text of the same
kind, so that text which is rare anyway (a name, a number) does not count as wrong. G_{a,b} is a Gaussian average over
neighbouring tokens, with a standard deviation of a tokens before t and of b after it, cut at 3 of the wider and
normalised where the response ends: one token's log-prob says little, and an error makes the text after it unlikely too.

With the mean of d subtracted, a token is compared with its own response only. The last term compares responses, by how
likely their text is anyway: an answer full of rare text has more wrong tokens than one of commonplaces. Where it is
about as likely as usual (2 nats a token) the term is 0. The numbers are from a search on development data
(benchmarks/estimator_search.py, docs/lab-notebook.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tokenreward.estimators.base import Difference, Estimator, Evidence, LogProbs
from tokenreward.estimators.parameters import Parameters

_BEFORE, _AFTER, _AROUND_NULL = 1.0, 3.0, 4.0
_WEIGHT_RESPONSE = 0.75
#: It shifts all rewards of a response alike, and never changes how two of its tokens are ranked.
_USUAL_NATS = 2.0


def averaged(values: LogProbs, before: float, after: float) -> NDArray[np.float64]:
    """Return the Gaussian average of `values` over neighbouring tokens, float64 `[T]`.

    Args:
        values: float32 `[T]`.
        before: The standard deviation before a token, in tokens.
        after: The standard deviation after it, in tokens.
    """
    reach = int(3 * max(before, after) + 1)
    # A convolution reverses its kernel: the tokens before a token meet the kernel's second half.
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / np.where(steps > 0, before, after)) ** 2)
    inside = slice(reach, reach + len(values))
    weights = np.convolve(np.ones(len(values)), kernel)[inside]
    averages: NDArray[np.float64] = np.convolve(values.astype(np.float64), kernel)[inside] / weights
    return averages


def _difference(evidence: Evidence, parameters: Parameters) -> Difference:
    plain, null = evidence.logprobs["plain"], evidence.logprobs["null"]
    difference: Difference = averaged(plain, _BEFORE, _AFTER) - averaged(null, _AROUND_NULL, _AROUND_NULL)
    commonplace = null.mean(dtype=np.float64) + _USUAL_NATS
    shifted: Difference = difference - difference.mean() + _WEIGHT_RESPONSE * commonplace
    return shifted


EVIDENCE = Estimator(
    name="evidence",
    branches=("plain", "null"),
    formula="d = G_{1,3}(logp_plain) - G_{4,4}(logp_null); sigmoid(d - mean d + 0.75 (mean logp_null + 2)) - 1/2",
    difference=_difference,
    version=2,
    template="evidence",
    source="ours; found on development data (docs/label-quality.md)",
)
