"""The reward of each token: the dense reward, the KL to the reference, and the response's score at its end."""

from __future__ import annotations

import numpy as np

from tokenreward_trainer.data.pair import Values
from tokenreward_trainer.rto.settings import Rewards


def token_rewards(dense: Values | None, logps: Values, ref_logps: Values, score: float, settings: Rewards) -> Values:
    """Computes r_t = clip(b1 dense_t) - b2 log pi/pi_ref + b3 [t = T] score for one response.

    This is the reward of arXiv 2404.18922, with the authors' code: it scales and clamps the DPO policy's log-ratio (
    `dense` here), and clamps the score to [-10, 10].

    Args:
        dense: `[T]`, log pi_dpo/pi_ref or the service's token rewards; None leaves them out.
        logps: `[T]`, log-probs under the policy that sampled.
        ref_logps: `[T]`, the same under the reference.
        score: Of the whole response.
        settings: b1 is `scale`, b2 `kl` and b3 `sequence`.

    Returns:
        float64 `[T]`.
    """
    rewards: Values = -settings.kl * (np.asarray(logps, dtype=np.float64) - ref_logps)
    if dense is not None:
        scaled = settings.scale * np.asarray(dense, dtype=np.float64)
        rewards = rewards + (np.clip(scaled, -settings.clip, settings.clip) if settings.clip else scaled)
    rewards[-1] += settings.sequence * float(np.clip(score, -10, 10))
    return rewards
