"""SimPO: Meng et al. 2024, arXiv 2405.14734. No reference model; log-probs are averaged over the completion.

Derived, not quoted: T-REG says only to "adjust the weight according to the gradient". The gradient of the loss with
respect to l_t is -beta w / |y_w| on the chosen and +beta w / |y_l| on the rejected side with
w = sigmoid(beta (mean l_l - mean l_w) + gamma). Hence that w, and a regulariser with 1/|y|.
"""

from __future__ import annotations

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss
from tokenreward_trainer.losses.logistic import logistic


def simpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -log sigmoid(beta (mean l_w - mean l_l) - gamma) for each pair (arXiv 2405.14734, eq. 6)."""
    chosen_rewards = hyper.beta * chosen.mean(chosen.logps)
    rejected_rewards = hyper.beta * rejected.mean(rejected.logps)
    loss, weight = logistic(chosen_rewards - rejected_rewards - hyper.gamma, hyper.label_smoothing)
    return PairLoss(
        loss=loss,
        chosen_rewards=chosen_rewards.detach(),
        rejected_rewards=rejected_rewards.detach(),
        weight=weight,
    )


SIMPO = Method(
    name="simpo",
    title="SimPO",
    loss=simpo,
    beta=2.5,
    reference=False,
    length_normalised=True,
    options=frozenset({"gamma_ratio", "label_smoothing"}),
)
