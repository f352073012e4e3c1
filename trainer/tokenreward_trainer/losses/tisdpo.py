"""TIS-DPO: Liu et al. 2024, arXiv 2410.04350. DPO on tokens, each weighted by its estimated importance.

The authors' code clamps the importance d_t at 1.5, scales it to a weight in [0.7, 1.3], and turns its sign round on the
rejected side. With labels r_t = clip(d_t, -1.5, 1.5) / 3, which the estimator `tis` makes, that weight is 1 + 0.6 r_t
and 1 - 0.6 r_t. The paper's objective also has a weighted sequential KL; the code leaves it out by default, and so does
this. No weight for T-REG's regulariser has been derived, because the loss uses the labels already.
"""

from __future__ import annotations

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss
from tokenreward_trainer.losses.token_weighted import token_weighted_dpo


def tisdpo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes DPO with token weights 1 +- `tis_scale` r_t (arXiv 2410.04350 without its KL term eta, and its code)."""
    return token_weighted_dpo(chosen, rejected, hyper, hyper.tis_scale)


TISDPO = Method(
    name="tisdpo",
    title="TIS-DPO",
    loss=tisdpo,
    beta=0.1,
    token_rewards=True,
    weighted=False,
    options=frozenset({"tis_scale", "label_smoothing"}),
)
