"""ORPO: Hong et al. 2024, arXiv 2403.07691. Likelihood and an odds ratio in one loss, without a reference.

No weight for T-REG's regulariser has been derived: the likelihood term is most of the loss.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def orpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -mean l_w - beta log sigmoid(log odds_w - log odds_l) for each pair (arXiv 2403.07691, eq. 6 and 7).

    odds = p / (1 - p) with log p the mean log-prob of a completion (eq. 3 and 4); beta is the paper's lambda. The
    likelihood is that of the completion alone. TRL adds the prompt's tokens to it, which the paper does not.
    """
    mean_w, mean_l = chosen.mean(chosen.logps), rejected.mean(rejected.logps)
    log_odds = (mean_w - _log_complement(mean_w)) - (mean_l - _log_complement(mean_l))
    return PairLoss(
        loss=-mean_w - hyper.beta * F.logsigmoid(log_odds),
        chosen_rewards=(hyper.beta * mean_w).detach(),
        rejected_rewards=(hyper.beta * mean_l).detach(),
        weight=None,
    )


def _log_complement(log_p: Tensor) -> Tensor:
    """log(1 - p) without cancellation on either side of p = 1/2; p is held below 1, where odds end."""
    log_p = log_p.clamp(max=-torch.finfo(log_p.dtype).eps)
    likely = log_p > -math.log(2)
    # Each branch sees only values that it is made for, or the other one's gradient would be NaN.
    near_one = torch.log(-torch.expm1(log_p.where(likely, -math.log(2))))
    near_zero = torch.log1p(-torch.exp(log_p.where(~likely, -math.log(2))))
    return near_one.where(likely, near_zero)


ORPO = Method(name="orpo", loss=orpo, beta=0.1, reference=False, weighted=False, length_normalised=True)
