"""SePO: Yang et al. 2024, arXiv 2408.13518. Trains on the tokens an oracle's rewards single out, without a reference.

The selection needs only the order of the token rewards, and r_t = tanh(d_t / 2) / 2 keeps the order of d_t, so the
labels are used as they are. No weight for T-REG's regulariser has been derived, because the loss already selects by
the labels.
"""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def sepo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -log sigmoid(g mean_{S_w} l - g mean_{S_l} l) for each pair (the objective of arXiv 2408.13518).

    S_w is the top k% of y_w by token reward and S_l the bottom k% of y_l, at least one token each. The authors' code
    has g = 1.
    """
    assert chosen.token_rewards is not None
    assert rejected.token_rewards is not None
    chosen_rewards = hyper.beta * _mean_of_top(chosen, chosen.token_rewards, hyper.sepo_fraction)
    rejected_rewards = hyper.beta * _mean_of_top(rejected, -rejected.token_rewards, hyper.sepo_fraction)
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
    count = tokens_of_share(side.lengths, fraction)
    selected = side.mask & (rank < count.unsqueeze(-1))
    return side.logps.masked_fill(~selected, 0).sum(-1) / count


def tokens_of_share(lengths: Tensor, fraction: float) -> Tensor:
    """Returns ceil(fraction x |y|) of int64 lengths, at least 1, in whole numbers: 0.3 of 10 tokens is 3, not 4."""
    share = Fraction(str(fraction)).limit_denominator(1_000_000)
    return ((lengths * share.numerator + share.denominator - 1) // share.denominator).clamp(min=1)


SEPO = Method(
    name="sepo",
    loss=sepo,
    beta=1.0,
    reference=False,
    token_rewards=True,
    weighted=False,
    options=frozenset({"sepo_fraction"}),
)
