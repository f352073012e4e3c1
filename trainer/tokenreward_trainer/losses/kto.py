"""KTO: Ethayarajh et al. 2024, arXiv 2402.01306. Each completion alone, against a reference point.

The reference point z is an estimate of KL(pi || pi_ref) from completions under prompts that they do not belong to. It
is one number for a batch of all processes, and carries no gradient; `training.reference_point` computes it. No weight
for T-REG's regulariser has been derived: the two completions have two different factors in the gradient.
"""

from __future__ import annotations

import torch.nn.functional as F

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def kto(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes the mean of l_D (1 - sigmoid(beta (A_w - z))) and l_U (1 - sigmoid(beta (z - A_l))) for each pair.

    This is arXiv 2402.01306, eq. 7, of a pair's two completions; l_D is `desirable_weight` and l_U
    `undesirable_weight`.
    """
    assert chosen.reference_point is not None, "KTO needs its reference point"
    chosen_ratio, rejected_ratio = chosen.log_ratio, rejected.log_ratio
    z = chosen.reference_point
    gain = hyper.desirable_weight * (1 - F.sigmoid(hyper.beta * (chosen_ratio - z)))
    loss = hyper.undesirable_weight * (1 - F.sigmoid(hyper.beta * (z - rejected_ratio)))
    return PairLoss(
        loss=(gain + loss) / 2,
        chosen_rewards=(hyper.beta * chosen_ratio).detach(),
        rejected_rewards=(hyper.beta * rejected_ratio).detach(),
        weight=None,
    )


KTO = Method(
    name="kto",
    loss=kto,
    beta=0.1,
    extras=frozenset({"mismatched"}),
    weighted=False,
    options=frozenset({"desirable_weight", "undesirable_weight"}),
)
