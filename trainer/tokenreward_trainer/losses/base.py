"""What every preference loss takes and gives: per-token log-probs of both completions in, one value per pair out.

All tensors are right-padded to the longest completion of the batch; what stands in the padding never counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Completions:
    """One side (chosen or rejected) of a batch of pairs. Shapes: B pairs, T tokens of the longest completion.

    logps: [B, T] log pi(y_t | x, y_<t), natural logarithm, differentiable.
    mask: bool [B, T], True on completion tokens, the end-of-turn token included; at least one per row.
    ref_logps: [B, T] the same under the reference model, without gradient.
    labels: [B, T] token rewards r_t in [-0.5, 0.5].
    log_collision: [B, T] log sum_v pi(v | x, y_<t)^2, without gradient (WPO).
    kl: [B, T] KL(pi_ref(. | x, y_<t) || pi(. | x, y_<t)), differentiable (TDPO).
    """

    logps: Tensor
    mask: Tensor
    ref_logps: Tensor | None = None
    labels: Tensor | None = None
    log_collision: Tensor | None = None
    kl: Tensor | None = None

    def total(self, values: Tensor) -> Tensor:
        """[B] the sum of `values` over each completion's tokens."""
        return values.masked_fill(~self.mask, 0).sum(-1)

    def mean(self, values: Tensor) -> Tensor:
        """[B] the mean of `values` over each completion's tokens."""
        return self.total(values) / self.lengths

    @property
    def lengths(self) -> Tensor:
        """[B] |y|."""
        return self.mask.sum(-1)

    @property
    def log_ratio(self) -> Tensor:
        """[B] A(y) = sum_t log pi / pi_ref."""
        assert self.ref_logps is not None, "this loss needs the reference model's log-probs"
        return self.total(self.logps - self.ref_logps)


@dataclass(frozen=True, slots=True)
class PairLoss:
    """What a loss says about each pair of the batch, before any mean.

    loss: [B], differentiable.
    chosen_rewards, rejected_rewards: [B] the implicit rewards the loss compares, without gradient.
    weight: [B] w, the factor in this loss's own gradient with which T-REG weighs its regulariser (eq. 2),
        without gradient; None for methods for which no such weight has been derived.
    """

    loss: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    weight: Tensor | None


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The numbers the losses use; each loss reads those it needs.

    beta: strength of the implicit reward (SePO calls it gamma).  gamma: SimPO's target margin, beta x gamma_ratio.
    tdpo_alpha: weight of TDPO2's KL term.  sepo_fraction: share of tokens SePO trains on, in (0, 1].
    """

    beta: float
    gamma: float = 0.0
    tdpo_alpha: float = 0.5
    sepo_fraction: float = 0.3


@dataclass(frozen=True, slots=True)
class Method:
    """One preference loss and what it asks for.

    loss: the pure function.  beta: the default.
    extras: per-token quantities beside the log-probs: "log_collision", "kl".
    reference: the loss reads the reference model.  labels: the loss itself reads the token rewards.
    weighted: the loss gives a weight, so that the regulariser can be used.
    length_normalised: its gradient per token log-prob carries 1/|y|, so the regulariser's must too.
    """

    name: str
    loss: Callable[[Completions, Completions, Hyperparameters], PairLoss]
    beta: float
    extras: frozenset[str] = field(default=frozenset())
    reference: bool = True
    labels: bool = False
    weighted: bool = True
    length_normalised: bool = False
