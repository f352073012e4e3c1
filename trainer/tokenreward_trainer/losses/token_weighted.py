"""DPO whose every token has a weight of its own: what TIS-DPO and TGDPO have in common."""

from __future__ import annotations

from torch import Tensor

from tokenreward_trainer.losses.base import Completions, Hyperparameters, PairLoss
from tokenreward_trainer.losses.logistic import logistic


def token_weighted_dpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters, strength: float) -> PairLoss:
    """Computes -log sigmoid(beta sum_t (1 + s r_t) a_t - beta sum_t (1 - s r_t) a_t) for each pair.

    The first sum is over the chosen and the second over the rejected completion, a_t = log pi/pi_ref. A good token
    counts for more where it is chosen, and for less where it is rejected.

    Args:
        chosen: The chosen side, with token rewards and reference log-probs.
        rejected: The rejected side.
        hyper: The numbers.
        strength: s.
    """
    chosen_rewards = hyper.beta * _weighted_log_ratio(chosen, strength)
    rejected_rewards = hyper.beta * _weighted_log_ratio(rejected, -strength)
    loss, _ = logistic(chosen_rewards - rejected_rewards, hyper.label_smoothing)
    return PairLoss(
        loss=loss,
        chosen_rewards=chosen_rewards.detach(),
        rejected_rewards=rejected_rewards.detach(),
        weight=None,
    )


def _weighted_log_ratio(side: Completions, strength: float) -> Tensor:
    """[B] sum_t (1 + s r_t) log pi / pi_ref."""
    assert side.token_rewards is not None, "these weights come from token rewards"
    assert side.ref_logps is not None, "this loss needs the reference model's log-probs"
    return side.total((1 + strength * side.token_rewards) * (side.logps - side.ref_logps))
