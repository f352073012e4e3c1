"""What `z_word` and `lp_word` share: the least of a word's values, against those of the words before it.

    m_t = min of v over the word of t
    n_t = (m_t + w G_{a,b}(m)_t) / (1 + w)
    d_t = n_t - c_t - bias,  c_t = (k c_0 + sum_{s<t} m_s) / (k + t)

An error is rarely in every token of a word: the model is surprised once, and sure of the rest. So a word counts as its
least likely token. G_{a,b} is the average over neighbours of `evidence`; a little of it, because an error makes the
text after it unlikely too. c_t is the mean of the tokens before t, with k tokens of the usual value c_0 before the
first one: responses, and a model that warms to a response, have levels of their own. It looks back only, so that an
error never lifts the tokens before it. Without it, good tokens' rewards drift along a response (docs/label-quality.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenreward.estimators.base import Difference, Evidence, Rewards, squash
from tokenreward.estimators.evidence import averaged
from tokenreward.estimators.parameters import Parameter, Parameters
from tokenreward.segments import pooled, segment_values, segments_of, tokens_by_segment


def word_minimum(evidence: Evidence, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the least value of each token's word, float64 `[T]`; a token of no word keeps its own.

    Args:
        evidence: Whose text and offsets say what a word is.
        values: float `[T]`.
    """
    words = tokens_by_segment(evidence.offsets, segments_of(evidence.text, "word"), evidence.text)
    return pooled(values, words, segment_values(values, words, "min", None)).astype(np.float64)


def set_off(minima: NDArray[np.float64], parameters: Parameters) -> Difference:
    """Return d_t: the minima and their neighbours, less what stood before, float64 `[T]`.

    Args:
        minima: float64 `[T]`, of `word_minimum`.
        parameters: Those of `word_parameters`.
    """
    weight = parameters["weight"]
    around = averaged(minima.astype(np.float32), parameters["before"], parameters["after"])
    before = np.concatenate([[0.0], np.cumsum(minima)[:-1]])
    usual = parameters["prior"] * parameters["usual"] + before
    centre = usual / (parameters["prior"] + np.arange(len(minima)))
    difference: Difference = (minima + weight * around) / (1 + weight) - centre - parameters["bias"]
    return difference


def scaled(difference: Difference, parameters: Parameters) -> Rewards:
    """Return sigmoid(s d) - 1/2, float32 in [-0.5, 0.5]."""
    return squash(parameters["scale"] * difference)


def word_parameters(*, usual: float, bias: float, weight: float, scale: float) -> Mapping[str, Parameter]:
    """Return the parameters of such an estimator.

    Args:
        usual: The default of c_0, in the unit of its values.
        bias: The default of the bias.
        weight: The default of w.
        scale: The default of s.
    """
    return {
        "before": Parameter(1.0, 0.05, 100.0, "the width of the average before a token, in tokens"),
        "after": Parameter(6.0, 0.05, 100.0, "the width of the average after it"),
        "weight": Parameter(weight, 0.0, 100.0, "how much the average counts beside the word's own minimum"),
        "prior": Parameter(20.0, 0.1, 1e6, "how many tokens of the usual value stand before a response"),
        "usual": Parameter(usual, -100.0, 0.0, "that usual value"),
        "bias": Parameter(bias, -100.0, 100.0, "the difference that gets reward 0"),
        "scale": Parameter(scale, 1e-3, 100.0, "what a difference is multiplied by"),
    }
