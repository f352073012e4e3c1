"""ConfPO: Yoon et al. 2025, arXiv 2506.08712. SimPO on the tokens that the policy itself is unsure of.

A token counts if the policy gives it less than the mean probability of its completion's tokens. The choice needs no
labels and carries no gradient. As in the authors' code, a pair with a side of equally likely tokens (one of a single
token, say), where none is below the mean, has no loss. No weight for T-REG's regulariser has been derived.
"""

from __future__ import annotations

from torch import Tensor

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss
from tokenreward_trainer.losses.logistic import logistic


def confpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -log sigmoid(beta (mean_{S_w} l - mean_{S_l} l) - gamma), S = {t: pi(y_t) < mean_t pi(y_t)}.

    This is the objective of arXiv 2506.08712, as in the authors' code.
    """
    mean_w, some_w = _mean_of_unsure(chosen)
    mean_l, some_l = _mean_of_unsure(rejected)
    loss, _ = logistic(hyper.beta * (mean_w - mean_l) - hyper.gamma, hyper.label_smoothing)
    return PairLoss(
        loss=loss * (some_w & some_l),
        chosen_rewards=(hyper.beta * mean_w).detach(),
        rejected_rewards=(hyper.beta * mean_l).detach(),
        weight=None,
    )


def _mean_of_unsure(side: Completions) -> tuple[Tensor, Tensor]:
    """[B] mean log-prob of the tokens below the mean probability, and whether there are any."""
    probs = side.logps.detach().exp()
    unsure = side.mask & (probs < side.mean(probs).unsqueeze(-1))
    count = unsure.sum(-1)
    return side.logps.masked_fill(~unsure, 0).sum(-1) / count.clamp(min=1), count > 0


CONFPO = Method(
    name="confpo",
    title="ConfPO",
    loss=confpo,
    beta=2.5,
    reference=False,
    weighted=False,
    length_normalised=True,
    options=frozenset({"gamma_ratio", "label_smoothing"}),
)
