"""SePO: Yang et al. 2024, arXiv 2408.13518. Trains on the tokens an oracle's rewards single out, without a reference.

The selection needs only the order of the token rewards, and r_t = tanh(d_t / 2) / 2 keeps the order of d_t, so that
the labels are used as they are. No weight for T-REG's regulariser has been derived: it already selects by the labels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def sepo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """-log sigmoid(g mean_{S_w} l - g mean_{S_l} l): the objective of arXiv 2408.13518; g = 1 in its code.

    S_w: the top k% of y_w by token reward; S_l: the bottom k% of y_l; at least one token each.
    """
    assert chosen.labels is not None
    assert rejected.labels is not None
    chosen_rewards = hyper.beta * _mean_of_top(chosen, chosen.labels, hyper.sepo_fraction)
    rejected_rewards = hyper.beta * _mean_of_top(rejected, -rejected.labels, hyper.sepo_fraction)
    return PairLoss(
        loss=-F.logsigmoid(chosen_rewards - rejected_rewards),
        chosen_rewards=chosen_rewards.detach(),
        rejected_rewards=rejected_rewards.detach(),
        weight=None,
    )


def _mean_of_top(side: Completions, score: Tensor, fraction: float) -> Tensor:
    """[B] mean log-prob of the ceil(fraction x |y|) tokens with the highest score; ties go to the earlier token."""
    order = score.masked_fill(~side.mask, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(dim=-1, stable=True)
    count = (side.lengths * fraction).ceil().clamp(min=1)
    selected = side.mask & (rank < count.unsqueeze(-1))
    return side.logps.masked_fill(~selected, 0).sum(-1) / count


SEPO = Method(name="sepo", loss=sepo, beta=1.0, reference=False, labels=True, weighted=False)
