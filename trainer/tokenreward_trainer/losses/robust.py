"""Robust DPO: Chowdhury et al. 2024, arXiv 2403.00409. DPO whose expected loss is that of labels without noise.

Derived, not quoted: the gradient with respect to the margin m is -((1 - e) sigmoid(-m) + e sigmoid(m)) / (1 - 2e), so
that this is the regulariser's weight. It is never negative.
"""

from __future__ import annotations

import torch.nn.functional as F

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def robust(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes ((e - 1) log sigmoid(m) + e log sigmoid(-m)) / (1 - 2e), m = beta (A_w - A_l), for each pair.

    This is rDPO of arXiv 2403.00409, sec. 3; e is `label_smoothing`, the share of pairs with swapped labels.
    """
    chosen_rewards = hyper.beta * chosen.log_ratio
    rejected_rewards = hyper.beta * rejected.log_ratio
    margin, e = chosen_rewards - rejected_rewards, hyper.label_smoothing
    fixed = margin.detach()
    return PairLoss(
        loss=((e - 1) * F.logsigmoid(margin) + e * F.logsigmoid(-margin)) / (1 - 2 * e),
        chosen_rewards=chosen_rewards.detach(),
        rejected_rewards=rejected_rewards.detach(),
        weight=((1 - e) * F.sigmoid(-fixed) + e * F.sigmoid(fixed)) / (1 - 2 * e),
    )


ROBUST = Method(name="robust", title="Robust DPO", loss=robust, beta=0.1, options=frozenset({"label_smoothing"}))
