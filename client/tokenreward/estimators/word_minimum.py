"""What `z_word`, `lp_word` and `step` share: a word counts as its least value.

    m_t = min of v over the word of t
    n_t = (m_t + w G_{a,b}(m)_t) / (1 + w)

An error is rarely in every token of a word: the model is surprised once, and sure of the rest. G_{a,b} is the average
over neighbours of `evidence`; a little of it, because an error makes the text after it unlikely too.
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


def with_neighbours(minima: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
    """Return n_t, float64 `[T]`.

    Args:
        minima: float64 `[T]`, of `word_minimum`.
        parameters: Those of `neighbour_parameters`.
    """
    weight = parameters["weight"]
    around = averaged(minima.astype(np.float32), parameters["before"], parameters["after"])
    mixed: NDArray[np.float64] = (minima + weight * around) / (1 + weight)
    return mixed


def scaled(difference: Difference, parameters: Parameters) -> Rewards:
    """Return sigmoid(s d) - 1/2, float32 in [-0.5, 0.5]."""
    return squash(parameters["scale"] * difference)


def neighbour_parameters() -> Mapping[str, Parameter]:
    """Return the parameters of `with_neighbours`."""
    return {
        "before": Parameter(1.0, 0.05, 100.0, "the width of the average before a token, in tokens"),
        "after": Parameter(6.0, 0.05, 100.0, "the width of the average after it"),
        "weight": Parameter(0.25, 0.0, 100.0, "how much the average counts beside the word's own minimum"),
    }


def reward_parameters(centre: float, scale: float) -> Mapping[str, Parameter]:
    """Return the parameters that make a reward of a difference.

    Args:
        centre: The default of the value that gets reward 0.
        scale: The default of s.
    """
    return {
        "centre": Parameter(centre, -100.0, 100.0, "the value that gets reward 0"),
        "scale": Parameter(scale, 1e-3, 100.0, "what a difference is multiplied by"),
    }
