"""DPO: Rafailov et al. 2023, arXiv 2305.18290.

Its gradient (sec. 4) weighs each pair by sigmoid(r_l - r_w), how wrong the implicit reward is; DPO-REG weighs the
token-level regulariser by the same factor (T-REG, arXiv 2412.02685, eq. 2).
"""

from __future__ import annotations

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss
from tokenreward_trainer.losses.logistic import logistic


def dpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -log sigmoid(beta (A_w - A_l)) for each pair (arXiv 2305.18290, eq. 7), smoothed if asked for."""
    chosen_rewards = hyper.beta * chosen.log_ratio
    rejected_rewards = hyper.beta * rejected.log_ratio
    loss, weight = logistic(chosen_rewards - rejected_rewards, hyper.label_smoothing)
    return PairLoss(
        loss=loss,
        chosen_rewards=chosen_rewards.detach(),
        rejected_rewards=rejected_rewards.detach(),
        weight=weight,
    )


DPO = Method(name="dpo", loss=dpo, beta=0.1, options=frozenset({"label_smoothing"}))
