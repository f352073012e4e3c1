"""TDPO: Zeng et al. 2024, arXiv 2404.11999. DPO with the forward KL of every token's distribution.

No weight for T-REG's regulariser is given or obvious (the KL terms have gradients of their own), so there is none.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def tdpo1(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -log sigmoid(beta (A_w - A_l) - beta (K_l - K_w)), K(y) = sum_t KL(pi_ref || pi), for each pair.

    This is the TDPO_1 objective of arXiv 2404.11999, as in the authors' code.
    """
    return _tdpo(chosen, rejected, hyper.beta, _sequence_kl(rejected) - _sequence_kl(chosen))


def tdpo2(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -log sigmoid(beta (A_w - A_l) - alpha beta (K_l - sg K_w)) for each pair.

    This is the TDPO_2 objective of arXiv 2404.11999, as in the authors' code.
    """
    return _tdpo(
        chosen, rejected, hyper.beta, hyper.tdpo_alpha * (_sequence_kl(rejected) - _sequence_kl(chosen).detach())
    )


def _tdpo(chosen: Completions, rejected: Completions, beta: float, penalty: torch.Tensor) -> PairLoss:
    log_ratio_w, log_ratio_l = chosen.log_ratio, rejected.log_ratio
    return PairLoss(
        loss=-F.logsigmoid(beta * (log_ratio_w - log_ratio_l - penalty)),
        # The authors' code reports the token-level value, the KL included, as the reward.
        chosen_rewards=(beta * (log_ratio_w + _sequence_kl(chosen))).detach(),
        rejected_rewards=(beta * (log_ratio_l + _sequence_kl(rejected))).detach(),
        weight=None,
    )


def _sequence_kl(side: Completions) -> torch.Tensor:
    """[B] K(y)."""
    assert side.kl is not None
    return side.total(side.kl)


TDPO1 = Method(name="tdpo1", loss=tdpo1, beta=0.1, extras=frozenset({"kl"}), weighted=False)
TDPO2 = Method(
    name="tdpo2",
    loss=tdpo2,
    beta=0.1,
    extras=frozenset({"kl"}),
    weighted=False,
    options=frozenset({"tdpo_alpha"}),
)
