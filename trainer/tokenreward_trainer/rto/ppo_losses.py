"""PPO's two losses (Schulman et al. 2017, arXiv 1707.06347), per token."""

from __future__ import annotations

import torch
from torch import Tensor


def clipped_policy_loss(logps: Tensor, old_logps: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Computes -min(rho A, clamp(rho, 1 - c, 1 + c) A), rho = pi/pi_old (arXiv 1707.06347, eq. 7).

    Args:
        logps: `[N]`, log-probs under the policy, differentiable.
        old_logps: `[N]`, the same under the policy that sampled.
        advantages: `[N]`.
        clip: c, how far the ratio may move before it earns nothing more.

    Returns:
        `[N]`, differentiable.
    """
    ratio = (logps - old_logps).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Computes max((V - R)^2, (V_clipped - R)^2) / 2, where V_clipped moves at most by c from the old value.

    This is the value loss of OpenAI's baselines, which TRL's PPO and RTO's code have too.

    Args:
        values: `[N]`, differentiable.
        old_values: `[N]`, from before the update.
        returns: `[N]`, what they are trained towards.
        clip: c.

    Returns:
        `[N]`, differentiable.
    """
    near = old_values + (values - old_values).clamp(-clip, clip)
    return torch.maximum((values - returns) ** 2, (near - returns) ** 2) / 2
