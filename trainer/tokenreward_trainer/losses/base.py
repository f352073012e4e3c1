"""What every preference loss takes and gives: per-token log-probs of both completions in, one value per pair out.

All tensors are right-padded to the longest completion of the batch; what stands in the padding never counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Completions:
    """One side (chosen or rejected) of a batch of B pairs, whose longest completion has T tokens.

    Attributes:
        logps: `[B, T]`, log pi(y_t | x, y_<t), natural logarithm, differentiable.
        mask: bool `[B, T]`, True on completion tokens, the end-of-turn token included; at least one per row, and none
            on the rejected side of single responses.
        ref_logps: `[B, T]`, the same under the reference model, without gradient.
        token_rewards: `[B, T]`, r_t in [-0.5, 0.5], the labels.
        log_collision: `[B, T]`, log sum_v pi(v | x, y_<t)^2, without gradient (WPO).
        kl: `[B, T]`, KL(pi_ref(. | x, y_<t) || pi(. | x, y_<t)), differentiable (TDPO).
        teacher_logps: `[B, T]`, log p_T(y_t | x, y_<t) under a teacher, without gradient (distillation).
        teacher_kl: `[B, T]`, the forward KL over the teacher's likeliest tokens, differentiable; None without them.
        reference_point: One number for the whole batch, z, without gradient (KTO).
    """

    logps: Tensor
    mask: Tensor
    ref_logps: Tensor | None = None
    token_rewards: Tensor | None = None
    log_collision: Tensor | None = None
    kl: Tensor | None = None
    teacher_logps: Tensor | None = None
    teacher_kl: Tensor | None = None
    reference_point: Tensor | None = None

    def total(self, values: Tensor) -> Tensor:
        """Sums `values` `[B, T]` over each completion's tokens, giving `[B]`."""
        return values.masked_fill(~self.mask, 0).sum(-1)

    def mean(self, values: Tensor) -> Tensor:
        """Averages `values` `[B, T]` over each completion's tokens, giving `[B]`."""
        return self.total(values) / self.lengths

    @property
    def lengths(self) -> Tensor:
        """The tokens of each completion, |y|, int64 `[B]`."""
        return self.mask.sum(-1)

    @property
    def log_ratio(self) -> Tensor:
        """A(y) = sum_t log pi / pi_ref, `[B]`."""
        assert self.ref_logps is not None, "this loss needs the reference model's log-probs"
        return self.total(self.logps - self.ref_logps)


@dataclass(frozen=True, slots=True)
class PairLoss:
    """What a loss says about each of B pairs, before any mean.

    Attributes:
        loss: `[B]`, differentiable. The loss of a batch is its mean over pairs; of single responses its sum over tokens
            divided by the tokens of the batch.
        chosen_rewards: `[B]`, the implicit reward of the chosen completion that the loss compares, without gradient.
        rejected_rewards: `[B]`, the same of the rejected completion.
        weight: `[B]`, w, the factor in this loss's own gradient by which T-REG weighs its regulariser (arXiv
            2412.02685, eq. 2), without gradient; None for methods for which no such weight has been derived.
    """

    loss: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    weight: Tensor | None


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The numbers that losses use; each loss reads those it needs.

    Attributes:
        beta: The strength of the implicit reward (SePO calls it gamma).
        gamma: SimPO's target margin, beta times gamma_ratio.
        label_smoothing: The share of pairs that are taken to be labeled the wrong way round, in [0, 0.5).
        tdpo_alpha: The weight of TDPO2's KL term.
        sepo_fraction: The share of tokens that SePO trains on, in (0, 1].
        cpo_alpha: The weight of CPO's likelihood term.
        desirable_weight: The weight of KTO's chosen completions.
        undesirable_weight: The weight of KTO's rejected completions.
        tis_scale: How far TIS-DPO's token weights follow the token rewards.
        tgdpo_alpha: How far TGDPO's beta follows the token rewards.
        teacher_kl: Which KL distillation takes: `reverse` on the samples, or `forward` over the teacher's likeliest
            tokens; `auto` is forward where the labels have them.
    """

    beta: float
    gamma: float = 0.0
    label_smoothing: float = 0.0
    tdpo_alpha: float = 0.5
    sepo_fraction: float = 0.3
    cpo_alpha: float = 1.0
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    tis_scale: float = 0.6
    tgdpo_alpha: float = 0.5
    teacher_kl: str = "auto"


@dataclass(frozen=True, slots=True)
class Method:
    """One preference loss and what it asks for.

    Attributes:
        name: The method's name in options.
        loss: The pure function (chosen, rejected, hyperparameters) -> PairLoss.
        beta: The default beta.
        title: Its name for people; empty is the name in capitals.
        options: The options that belong to it, by name, and do nothing with a method that does not list them.
        extras: What it needs beside the log-probs: per token "log_collision" or "kl"; "mismatched", completions under
            prompts that they do not belong to.
        reference: Whether the loss reads the reference model's log-probs.
        token_rewards: Whether the loss itself reads the token rewards.
        weighted: Whether the loss gives a weight, so that the regulariser can be used.
        single: Whether it trains on single responses (the chosen side) and not on pairs.
        teacher: Whether it reads a teacher's log-probs, which the labels must hold.
        length_normalised: Whether its gradient per token log-prob carries 1/|y|, so that the regulariser's must too.
    """

    name: str
    loss: Callable[[Completions, Completions, Hyperparameters], PairLoss]
    beta: float
    title: str = ""
    options: frozenset[str] = field(default=frozenset())
    extras: frozenset[str] = field(default=frozenset())
    reference: bool = True
    token_rewards: bool = False
    weighted: bool = True
    single: bool = False
    teacher: bool = False
    length_normalised: bool = False

    @property
    def shown(self) -> str:
        """The method's name for people."""
        return self.title or self.name.upper()
