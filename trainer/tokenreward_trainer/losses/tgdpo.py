"""TGDPO: Zhu et al. 2025, arXiv 2506.14574. DPO whose beta follows the token rewards.

The authors' token reward is beta log pi_dpo/pi_ref of a DPO policy, and their alpha is 0.5. Here r_t is the label,
whatever made it; `labels.source = "contrast"` takes it from a DPO policy, squashed. No weight for T-REG's regulariser
has been derived, because the loss uses the labels already.
"""

from __future__ import annotations

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss
from tokenreward_trainer.losses.token_weighted import token_weighted_dpo


def tgdpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes DPO with beta (1 + alpha r_t) on chosen and beta (1 - alpha r_t) on rejected tokens.

    This is the objective of arXiv 2506.14574 with f_w(r) = 1 + alpha r and f_l(r) = 1 - alpha r, as in the authors'
    code; alpha is `tgdpo_alpha`.
    """
    return token_weighted_dpo(chosen, rejected, hyper, hyper.tgdpo_alpha)


TGDPO = Method(
    name="tgdpo",
    loss=tgdpo,
    beta=0.1,
    token_rewards=True,
    weighted=False,
    options=frozenset({"tgdpo_alpha", "label_smoothing"}),
)
