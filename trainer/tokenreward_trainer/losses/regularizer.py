"""The token-level regulariser of T-REG (arXiv 2412.02685), which pulls each token's log-prob towards its label."""

from __future__ import annotations

from torch import Tensor

from tokenreward_trainer.losses.base import Completions, PairLoss


def token_regularizer(side: Completions, beta: float, *, length_normalised: bool) -> Tensor:
    """Computes L_reg(x, y) = -beta sum_t r_t l_t (T-REG, arXiv 2412.02685, eq. 1).

    The equation's pi_ref term is constant and has no gradient, so it is left out.

    Args:
        side: One side of the pairs, with token rewards.
        beta: The method's beta.
        length_normalised: Whether to divide by |y|, as derived for SimPO (see `losses.simpo`).

    Returns:
        `[B]`, differentiable.
    """
    assert side.token_rewards is not None, "the regulariser needs token rewards"
    over = side.mean if length_normalised else side.total
    return -beta * over(side.token_rewards * side.logps)


def regularization(
    pair: PairLoss, chosen: Completions, rejected: Completions, *, beta: float, static: bool, length_normalised: bool
) -> Tensor:
    """Computes sg(w) (L_reg(x, y_w) + L_reg(x, y_l)) (T-REG, arXiv 2412.02685, eq. 2 without its alpha).

    Args:
        pair: The preference loss, whose weight is w.
        chosen: The chosen side.
        rejected: The rejected side.
        beta: The method's beta.
        static: Whether to take w = 1, the paper's ablation.
        length_normalised: See `token_regularizer`.

    Returns:
        `[B]`, differentiable.
    """
    both = token_regularizer(chosen, beta, length_normalised=length_normalised) + token_regularizer(
        rejected, beta, length_normalised=length_normalised
    )
    if static:
        return both
    assert pair.weight is not None, "this method has no weight for the regulariser"
    return pair.weight.detach() * both
