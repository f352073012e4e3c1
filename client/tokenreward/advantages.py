"""Advantages per token out of a `difference`: what self-distillation methods do with d_t inside a training step.

They are pure functions of arrays, for a trainer that has the advantage of a whole response already. The differences
come from a job with `include=["difference"]`, or from the estimator `difference`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def group_advantages(scores: Array, epsilon: float = 1e-6) -> NDArray[np.float64]:
    """Return the advantage of each response of a group: its score less the group's mean, over its spread (GRPO).

    Args:
        scores: float `[N]`, the scores of the responses to one prompt.
        epsilon: Added to the standard deviation; a group of equal scores has no advantages.

    Returns:
        float64 `[N]`.
    """
    centred = np.asarray(scores, dtype=np.float64) - np.mean(scores, dtype=np.float64)
    advantages: NDArray[np.float64] = centred / (centred.std() + epsilon)
    return advantages


def rlsd(difference: Array, advantage: float, *, mix: float, clip: float) -> NDArray[np.float64]:
    """Return RLSD's advantage of each token (arXiv 2604.03128).

    A_t = A ((1 - mix) + mix clip(exp(sgn(A) d_t), 1 - clip, 1 + clip))

    The sign of A_t is that of A: the difference only says which tokens the response's advantage belongs to.

    Args:
        difference: float `[T]`, d_t = log p(y_t | x, privilege) - log p(y_t | x).
        advantage: A, the response's advantage.
        mix: The share of the advantage that is distributed by the difference, in [0, 1].
        clip: How far a token's weight may be from 1, in [0, 1].

    Returns:
        float64 `[T]`.

    Raises:
        ValueError: `mix` or `clip` is outside [0, 1].
    """
    for name, value in (("mix", mix), ("clip", clip)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} = {value} must be in [0, 1]")
    signed = np.sign(advantage) * np.asarray(difference, dtype=np.float64)
    # The weight is cut at 1 + clip <= 2 anyway; cutting the exponent first keeps exp from overflowing.
    weight = np.clip(np.exp(np.minimum(signed, 1.0)), 1 - clip, 1 + clip)
    advantages: NDArray[np.float64] = advantage * ((1 - mix) + mix * weight)
    return advantages


def cepo(difference: Array, advantage: float, *, mix: float, clip: float) -> NDArray[np.float64]:
    """Return CEPO's advantage of each token (arXiv 2605.19436).

    It is `rlsd` with another difference, d_t = log p(y_t | x, correct hint) - log p(y_t | x, wrong hint). Arguments,
    result and errors are those of `rlsd`.
    """
    return rlsd(difference, advantage, mix=mix, clip=clip)
