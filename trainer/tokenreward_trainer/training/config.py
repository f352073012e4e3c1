"""Training options: transformers' TrainingArguments and what preference optimisation adds, checked together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import SchedulerType, TrainingArguments

from tokenreward.errors import BadInput
from tokenreward_trainer.losses import METHODS, Hyperparameters, Method
from tokenreward_trainer.training.inherited_options import check_finished
from tokenreward_trainer.training.option_checks import check_options

#: The most tokens of a forward pass on a GPU, if nobody says another number.
ACCELERATOR_TOKENS = 16384


@dataclass
class PreferenceConfig(TrainingArguments):  # type: ignore[misc]
    """Options of a preference training run, beside those of transformers' TrainingArguments.

    Attributes:
        method: One of METHODS; docs/methods.md has them all.
        beta: The strength of the implicit reward; None takes the method's own default.
        gamma_ratio: The target margin of simpo and confpo over beta; None is 0.5.
        label_smoothing: The share of pairs that are taken to be labeled the wrong way round; None is 0.
        reg_alpha: The weight of T-REG's token-level regulariser; 0 trains without it.
        reg_scale: What reg_alpha is measured in: `absolute`, or `labels`, the standard deviation of the token rewards:
            then the regulariser has reg_alpha / std, so that labels of any size pull equally hard.
        weighting: The regulariser's weight per pair: `dynamic`, the factor in the loss's own gradient, or `static`, 1.
        sft_weight: The weight of -mean log-prob of the chosen completion (the paper's DPO-SFT ablation).
        tdpo_alpha: The weight of TDPO2's KL term; None is 0.5.
        sepo_fraction: The share of tokens that SePO trains on; None is 0.3.
        cpo_alpha: The weight of CPO's likelihood term; None is 1.
        desirable_weight: The weight of KTO's chosen completions; None is 1.
        undesirable_weight: The weight of KTO's rejected completions; None is 1.
        tis_scale: TIS-DPO's token weights are 1 +- so many times the token reward; None is 0.6.
        teacher_kl: Of opd: `reverse` on the samples, or `forward` over the teacher's likeliest tokens; None is forward
            where the labels have those.
        tgdpo_alpha: TGDPO's beta is 1 +- so many times the token reward of its own; None is 0.5.
        reference: Where the reference model's log-probs come from. `precompute` takes them from the initial model,
            once, cached by content; `live` runs the reference in every step; `none` has none; `auto` is what the
            method needs.
        reference_cache: The directory of precomputed log-probs; None is tokenreward's under the user's cache.
        forward_tokens: The most tokens that a forward and backward pass reads (or one pair). A batch of more is cut
            into several, which bounds memory and changes nothing else. 0 is 16384 on an accelerator, 1024 on the CPU.
        layout: `packed` (no padding, each prompt computed once for both completions), `padded`, or `auto`: packed
            where a check at the start shows that the model gives the same log-probs.
        router_aux_loss_coef: The weight of a mixture of experts' load-balancing loss; None is what the model's own
            configuration says, 0 where it does not ask for it.
        disable_dropout: Train without dropout, so that policy and reference differ by training alone.

    Raises:
        BadInput: A value is out of its range, or options do not go together.
    """

    method: str = field(default="dpo", metadata={"help": ", ".join(METHODS)})
    beta: float | None = None
    gamma_ratio: float | None = None
    label_smoothing: float | None = None
    reg_alpha: float = 0.0
    reg_scale: str = "absolute"
    weighting: str = "dynamic"
    sft_weight: float = 0.0
    tdpo_alpha: float | None = None
    sepo_fraction: float | None = None
    cpo_alpha: float | None = None
    desirable_weight: float | None = None
    undesirable_weight: float | None = None
    tis_scale: float | None = None
    tgdpo_alpha: float | None = None
    teacher_kl: str | None = None
    reference: str = "auto"
    reference_cache: str | None = None
    forward_tokens: int = 0
    layout: str = "auto"
    router_aux_loss_coef: float | None = None
    disable_dropout: bool = True

    # The settings T-REG, SimPO and WPO share (SimPO's repository), where they differ from TrainingArguments'.
    learning_rate: float = 5e-7
    lr_scheduler_type: SchedulerType | str = "cosine"
    warmup_steps: float = 0.1  # A float below 1 is a share of all steps.
    num_train_epochs: float = 1.0
    logging_steps: float = 10
    # Looking for losses that are not a number waits for the device once in every batch, and hides them in the log.
    logging_nan_inf_filter: bool = False
    report_to: str | list[str] | None = "none"

    def __post_init__(self) -> None:
        # Batches are built from Example objects: there are no columns to remove.
        self.remove_unused_columns = False
        self.report_to = self.report_to or "none"
        check_options(self)
        batches_to_device = self.accelerator_config is None
        super().__post_init__()
        check_finished(self)
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False  # There is nothing to pin for, and torch warns.
        elif batches_to_device and self.dataloader_pin_memory:
            # Copies out of pinned memory queue up behind the step before, and nobody waits for them.
            self.accelerator_config.non_blocking = True

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> PreferenceConfig:
        """Makes a configuration of a file's options.

        Raises:
            BadInput: An option has a value that transformers refuses.
        """
        try:
            return cls(**options)
        except (TypeError, ValueError, NotImplementedError, OSError, RuntimeError, ImportError) as error:
            raise BadInput(f"[train]: {str(error).strip().splitlines()[0] if str(error) else error!r}") from None

    @property
    def chosen_method(self) -> Method:
        """The preference loss."""
        return METHODS[self.method]

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The loss's numbers, the method's own where an option is None."""
        own = self.chosen_method.options
        beta = self.chosen_method.beta if self.beta is None else self.beta
        ratio = 0.5 if self.gamma_ratio is None else self.gamma_ratio
        given = {name: getattr(self, name) for name in own - {"gamma_ratio"} if getattr(self, name) is not None}
        return Hyperparameters(beta=beta, gamma=beta * ratio if "gamma_ratio" in own else 0.0, **given)

    @property
    def reference_mode(self) -> str:
        """`precompute`, `live` or `none`: what `auto` comes to."""
        if self.reference != "auto":
            return self.reference
        if self.needs_live_reference:
            return "live"
        return "precompute" if self.chosen_method.reference else "none"

    @property
    def needs_live_reference(self) -> bool:
        """Whether the reference is asked for more than log-probs of the pairs, which could be had once."""
        return not self.chosen_method.extras.isdisjoint({"kl", "mismatched"})

    @property
    def max_forward_tokens(self) -> int:
        """The most tokens of a forward pass on this device (or one pair)."""
        return self.forward_tokens or (1024 if self.device.type == "cpu" else ACCELERATOR_TOKENS)

    @property
    def needs_labels(self) -> bool:
        """Whether every pair must have token rewards."""
        return self.reg_alpha > 0 or self.chosen_method.token_rewards
