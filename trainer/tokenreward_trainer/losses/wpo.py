"""WPO: Zhou et al. 2024, arXiv 2406.11827. DPO, each pair weighed by how likely the policy is to have written it.

Derived, not quoted: with omega constant, WPO's gradient is omega times DPO's, so the regulariser's weight is
w = omega x sigmoid(beta A_l - beta A_w).
"""

from __future__ import annotations

import torch

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss
from tokenreward_trainer.losses.dpo import dpo


def wpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes omega x DPO, omega = sg min(1, exp(m_w + m_l)), m = mean_t [l_t - log sum_v pi(v)^2], for each pair.

    This is arXiv 2406.11827, eq. 2, with its sampled alignment. The authors' code clamps omega at 1; TRL 1.16
    does not, and the two differ only where a pair is likelier than the policy's own samples.
    """
    omega = torch.exp(_alignment(chosen) + _alignment(rejected)).clamp(max=1)
    plain = dpo(chosen, rejected, hyper)
    assert plain.weight is not None
    return PairLoss(
        loss=omega * plain.loss,
        chosen_rewards=plain.chosen_rewards,
        rejected_rewards=plain.rejected_rewards,
        weight=omega * plain.weight,
    )


def _alignment(side: Completions) -> torch.Tensor:
    """[B] m: the mean log-prob relative to what the policy's own samples would have."""
    assert side.log_collision is not None
    return side.mean(side.logps.detach() - side.log_collision)


WPO = Method(
    name="wpo",
    loss=wpo,
    beta=0.01,
    extras=frozenset({"log_collision"}),
    options=frozenset({"label_smoothing"}),
)
