"""The token-level regulariser of T-REG (arXiv 2412.02685): pulls each token's log-prob towards its label."""

from __future__ import annotations

from torch import Tensor

from tokenreward_trainer.losses.base import Completions, PairLoss


def token_regularizer(side: Completions, beta: float, *, length_normalised: bool) -> Tensor:
    """[B] L_reg(x, y) = -beta sum_t r_t l_t   (eq. 1; its pi_ref term is constant and has no gradient).

    length_normalised (derived for SimPO, see losses/simpo.py): divided by |y|.
    """
    assert side.labels is not None, "the regulariser needs token rewards"
    over = side.mean if length_normalised else side.total
    return -beta * over(side.labels * side.logps)


def regularization(
    pair: PairLoss, chosen: Completions, rejected: Completions, *, beta: float, static: bool, length_normalised: bool
) -> Tensor:
    """[B] sg(w) (L_reg(x, y_w) + L_reg(x, y_l))   (eq. 2 without its alpha).

    static: the paper's ablation, w = 1.
    """
    both = token_regularizer(chosen, beta, length_normalised=length_normalised) + token_regularizer(
        rejected, beta, length_normalised=length_normalised
    )
    if static:
        return both
    assert pair.weight is not None, "this method has no weight for the regulariser"
    return pair.weight.detach() * both
