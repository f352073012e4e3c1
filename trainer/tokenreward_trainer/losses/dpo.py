"""DPO: Rafailov et al. 2023, arXiv 2305.18290.

Its gradient (sec. 4) weighs each pair by sigmoid(r_l - r_w), how wrong the implicit reward is; DPO-REG weighs the
token-level regulariser by the same factor (T-REG, arXiv 2412.02685, eq. 2).
"""

from __future__ import annotations

import torch.nn.functional as F

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def dpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -log sigmoid(beta (A_w - A_l)) for each pair (arXiv 2305.18290, eq. 7)."""
    chosen_rewards = hyper.beta * chosen.log_ratio
    rejected_rewards = hyper.beta * rejected.log_ratio
    margin = chosen_rewards - rejected_rewards
    return PairLoss(
        loss=-F.logsigmoid(margin),
        chosen_rewards=chosen_rewards.detach(),
        rejected_rewards=rejected_rewards.detach(),
        weight=F.sigmoid(-margin.detach()),
    )


DPO = Method(name="dpo", loss=dpo, beta=0.1)
