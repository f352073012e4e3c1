"""Advantages of tokens: generalised advantage estimation and whitening."""

from __future__ import annotations

import numpy as np

from tokenreward_trainer.data.pair import Values


def gae(rewards: Values, values: Values, *, gamma: float, lam: float) -> tuple[Values, Values]:
    """Estimates how much better each token came out than expected (GAE, arXiv 1506.02438, eq. 16).

    A_t = delta_t + gamma lam A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t; after the last token there is nothing.

    Args:
        rewards: `[T]`, the reward of each token of one response.
        values: `[T]`, the value that was expected before each token.
        gamma: The discount of later rewards.
        lam: How far ahead rewards are believed instead of values, lambda.

    Returns:
        Advantages and returns, both float64 `[T]`; the returns, A_t + V_t, are what values are trained towards.
    """
    expected = np.asarray(values, dtype=np.float64)
    after = np.append(expected[1:], 0.0)
    deltas = np.asarray(rewards, dtype=np.float64) + gamma * after - expected
    advantages = np.empty_like(deltas)
    running = 0.0
    for place in range(len(deltas) - 1, -1, -1):
        running = deltas[place] + gamma * lam * running
        advantages[place] = running
    return advantages, advantages + expected


def whitened(advantages: list[Values]) -> list[Values]:
    """Shifts and scales the advantages of a batch to mean 0 and variance 1 over all of its tokens.

    The variance is the unbiased one and 1e-8 is added to it, as in TRL's and OpenRLHF's PPO. A batch of one token
    stays as it is, for it has no variance.
    """
    every = np.concatenate(advantages)
    if len(every) < 2:
        return advantages
    scale = 1 / np.sqrt(every.var(ddof=1) + 1e-8)
    return [(row - every.mean()) * scale for row in advantages]
