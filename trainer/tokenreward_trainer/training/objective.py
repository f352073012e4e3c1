"""The whole loss of a pair: the preference loss, T-REG's regulariser and the SFT term, with their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenreward_trainer.losses import Completions, PairLoss, sft_term
from tokenreward_trainer.losses.regularizer import regularization
from tokenreward_trainer.training.config import PreferenceConfig


@dataclass(frozen=True, slots=True)
class Objective:
    """The terms of the loss of B pairs, as they enter it.

    Attributes:
        preference: The preference loss and what it reports.
        regularizer: `[B]`, T-REG's regulariser times alpha; None without it.
        sft: `[B]`, the SFT term times its weight; None without it.
        router: The load-balancing loss of a mixture of experts times its weight, the same for each of the pairs that
            went through one pass; None without it.
    """

    preference: PairLoss
    regularizer: Tensor | None
    sft: Tensor | None
    router: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """The sum of the terms, `[B]`, differentiable."""
        total = self.preference.loss
        for term in (self.regularizer, self.sft, self.router):
            total = total if term is None else total + term
        return total

    @property
    def rewards(self) -> Tensor:
        """The implicit rewards of the chosen and the rejected completions, `[B, 2]`, without gradient."""
        return torch.stack([self.preference.chosen_rewards, self.preference.rejected_rewards], dim=1)


def objective_of(args: PreferenceConfig, chosen: Completions, rejected: Completions, alpha: float) -> Objective:
    """Computes the terms that the options ask for (T-REG, arXiv 2412.02685, eq. 2; sec. 4.2 for the SFT term).

    Args:
        args: The options.
        chosen: The chosen side.
        rejected: The rejected side.
        alpha: The regulariser's factor (see `training.strength`); 0 leaves it out.
    """
    method, hyper = args.chosen_method, args.hyperparameters
    preference = method.loss(chosen, rejected, hyper)
    regularizer = sft = None
    if alpha > 0:
        regularizer = alpha * regularization(
            preference,
            chosen,
            rejected,
            beta=hyper.beta,
            static=args.weighting == "static",
            length_normalised=method.length_normalised,
        )
    if args.sft_weight > 0:
        sft = args.sft_weight * sft_term(chosen)
    return Objective(preference, regularizer, sft)
