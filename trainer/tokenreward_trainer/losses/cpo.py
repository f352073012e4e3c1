"""CPO: Xu et al. 2024, arXiv 2401.08417. DPO with a uniform reference, and a likelihood term on the chosen completion.

The paper does not say whether the likelihood term is a sum or a mean over tokens; the authors' code and TRL take the
mean, and so does this. Derived, not quoted: the preference part is a logistic loss of beta (L_w - L_l), so that its
gradient per token log-prob is DPO's, and so is the regulariser's weight.
"""

from __future__ import annotations

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss
from tokenreward_trainer.losses.logistic import logistic


def cpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes -log sigmoid(beta (L_w - L_l)) - alpha mean l_w, L = sum_t l_t, for each pair (arXiv 2401.08417, eq. 3).

    alpha is `cpo_alpha`, 1 in the paper.
    """
    chosen_rewards = hyper.beta * chosen.total(chosen.logps)
    rejected_rewards = hyper.beta * rejected.total(rejected.logps)
    loss, weight = logistic(chosen_rewards - rejected_rewards, hyper.label_smoothing)
    return PairLoss(
        loss=loss - hyper.cpo_alpha * chosen.mean(chosen.logps),
        chosen_rewards=chosen_rewards.detach(),
        rejected_rewards=rejected_rewards.detach(),
        weight=weight,
    )


CPO = Method(name="cpo", loss=cpo, beta=0.1, reference=False, options=frozenset({"cpo_alpha", "label_smoothing"}))
