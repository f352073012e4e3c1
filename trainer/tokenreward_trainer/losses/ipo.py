"""IPO: Azar et al. 2023, arXiv 2310.12036. Regresses the log-ratio's margin instead of pushing it without end.

Log-ratios are averaged over tokens, so that beta (the paper's tau) means the same at every length. The paper does not
say so; its authors have confirmed it to TRL, whose code does the same. There is no weight for T-REG's regulariser: the
factor in the gradient turns negative once the margin is reached.
"""

from __future__ import annotations

from tokenreward_trainer.losses.base import Completions, Hyperparameters, Method, PairLoss


def ipo(chosen: Completions, rejected: Completions, hyper: Hyperparameters) -> PairLoss:
    """Computes (mean a_w - mean a_l - 1 / (2 beta))^2, a = log pi/pi_ref, for each pair (arXiv 2310.12036, eq. 17)."""
    chosen_ratio = chosen.log_ratio / chosen.lengths
    rejected_ratio = rejected.log_ratio / rejected.lengths
    return PairLoss(
        loss=(chosen_ratio - rejected_ratio - 1 / (2 * hyper.beta)) ** 2,
        chosen_rewards=(hyper.beta * chosen_ratio).detach(),
        rejected_rewards=(hyper.beta * rejected_ratio).detach(),
        weight=None,
    )


IPO = Method(name="ipo", loss=ipo, beta=0.1, weighted=False, length_normalised=True)
