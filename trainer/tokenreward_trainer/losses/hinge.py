"""The hinge loss on DPO's margin: SLiC (Zhao et al. 2023, arXiv 2305.10425) as RSO writes it (arXiv 2309.06657).

Derived, not quoted: the gradient with respect to the margin is -1 below it and 0 beyond, and so is the regulariser's
weight.
"""

from __future__ import annotations

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def hinge(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes max(0, 1 - beta (A_w - A_l)) for each pair (the hinge-norm loss of arXiv 2309.06657)."""
    chosen_rewards = hyper.beta * chosen.log_ratio
    rejected_rewards = hyper.beta * rejected.log_ratio
    loss = (1 - (chosen_rewards - rejected_rewards)).clamp(min=0)
    return PairLoss(
        loss=loss,
        chosen_rewards=chosen_rewards.detach(),
        rejected_rewards=rejected_rewards.detach(),
        weight=(loss.detach() > 0).to(loss.dtype),
    )


HINGE = Method(name="hinge", title="Hinge", loss=hinge, beta=0.1)
