"""Training options: transformers' TrainingArguments and what preference optimisation adds, checked together."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

from transformers import TrainingArguments

from tokenreward.errors import BadInput, UnknownName
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.losses import METHODS, Hyperparameters, Method

WEIGHTINGS = ("dynamic", "static")
REFERENCES = ("auto", "precompute", "live", "none")
LAYOUTS = ("auto", "packed", "padded")

#: The paper's range for alpha is {0.1, 0.25, 0.5}; beyond this, the regulariser outweighs the preference loss.
REG_ALPHA_DOUBTFUL = 1.0


@dataclass
class PreferenceConfig(TrainingArguments):  # type: ignore[misc]
    """Options of a preference training run.

    method: dpo, simpo, wpo, tdpo1, tdpo2 or sepo.
    beta: None takes the method's own default.
    gamma_ratio: SimPO's target margin over beta; None is 0.5 for simpo, and nothing else may set it.
    reg_alpha: weight of T-REG's token-level regulariser; 0 trains without it.
    weighting: the regulariser's weight per pair: `dynamic`, the factor in the loss's own gradient, or `static`, 1.
    sft_weight: weight of -mean log-prob of the chosen completion (the paper's DPO-SFT ablation).
    tdpo_alpha: weight of TDPO2's KL term; None is 0.5 for tdpo2.
    sepo_fraction: share of tokens SePO trains on; None is 0.3 for sepo.
    reference: where the reference model's log-probs come from. `precompute`: from the initial model, once, cached by
        content; `live`: a forward pass of the reference in every step; `none`; `auto`: what the method needs.
    reference_cache: directory of precomputed log-probs; None is tokenreward's directory under the user's cache.
    forward_tokens: tokens a forward and backward pass reads at most (or one pair): a batch of more is cut into several,
        which bounds memory and changes nothing else. 0: 16384 on an accelerator, 1024 on the CPU.
    layout: `packed` (no padding, each prompt computed once for both completions), `padded`, or `auto`: packed where
        a check at the start shows that the model gives the same log-probs.
    disable_dropout: train without dropout, so that policy and reference differ by training alone.
    """

    method: str = field(default="dpo", metadata={"help": "dpo, simpo, wpo, tdpo1, tdpo2 or sepo"})
    beta: float | None = None
    gamma_ratio: float | None = None
    reg_alpha: float = 0.0
    weighting: str = "dynamic"
    sft_weight: float = 0.0
    tdpo_alpha: float | None = None
    sepo_fraction: float | None = None
    reference: str = "auto"
    reference_cache: str | None = None
    forward_tokens: int = 0
    layout: str = "auto"
    disable_dropout: bool = True

    # The settings T-REG, SimPO and WPO share (SimPO's repository), where they differ from TrainingArguments'.
    learning_rate: float = 5e-7
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 0.1  # A float below 1 is a share of all steps.
    num_train_epochs: float = 1.0
    logging_steps: float = 10

    def __post_init__(self) -> None:
        # Batches are built from Example objects: there are no columns to remove.
        self.remove_unused_columns = False
        self._check_names()
        self._check_numbers()
        self._check_combinations()
        super().__post_init__()
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False  # There is nothing to pin for, and torch warns.

    @property
    def chosen_method(self) -> Method:
        return METHODS[self.method]

    @property
    def hyperparameters(self) -> Hyperparameters:
        beta = self.chosen_method.beta if self.beta is None else self.beta
        ratio = 0.5 if self.gamma_ratio is None else self.gamma_ratio
        return Hyperparameters(
            beta=beta,
            gamma=beta * ratio if self.method == "simpo" else 0.0,
            tdpo_alpha=0.5 if self.tdpo_alpha is None else self.tdpo_alpha,
            sepo_fraction=0.3 if self.sepo_fraction is None else self.sepo_fraction,
        )

    @property
    def reference_mode(self) -> str:
        """precompute, live or none."""
        if self.reference != "auto":
            return self.reference
        if "kl" in self.chosen_method.extras:
            return "live"
        return "precompute" if self.chosen_method.reference else "none"

    @property
    def max_forward_tokens(self) -> int:
        return self.forward_tokens or (1024 if self.device.type == "cpu" else 16384)

    @property
    def needs_labels(self) -> bool:
        return self.reg_alpha > 0 or self.chosen_method.labels

    def _check_names(self) -> None:
        if self.method == "tdpo":
            raise BadInput("method = 'tdpo' is two losses: say 'tdpo1' or 'tdpo2' (the authors' default)")
        if self.method not in METHODS:
            raise UnknownName("method", self.method, list(METHODS))
        for name, value, known in (
            ("weighting", self.weighting, WEIGHTINGS),
            ("reference", self.reference, REFERENCES),
            ("layout", self.layout, LAYOUTS),
        ):
            if value not in known:
                raise UnknownName(name, value, known)

    def _check_numbers(self) -> None:
        for name in ("gamma_ratio", "reg_alpha", "sft_weight", "tdpo_alpha"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):  # Refuses NaN too.
                raise BadInput(f"{name} = {value} must be 0 or more")
        if self.beta is not None and not 0 < self.beta < float("inf"):
            raise BadInput(f"beta = {self.beta} must be above 0")
        if self.sepo_fraction is not None and not 0 < self.sepo_fraction <= 1:
            raise BadInput(f"sepo_fraction = {self.sepo_fraction} must be above 0 and at most 1")
        if self.forward_tokens < 0:
            raise BadInput(f"forward_tokens = {self.forward_tokens} must be 1 or more, or 0 to leave it to the device")

    def _check_combinations(self) -> None:
        method = self.chosen_method
        for name, only in (("gamma_ratio", "simpo"), ("tdpo_alpha", "tdpo2"), ("sepo_fraction", "sepo")):
            if getattr(self, name) is not None and self.method != only:
                raise BadInput(
                    f"{name} belongs to method = '{only}' and would do nothing with '{self.method}': remove it"
                )
        if self.reg_alpha > 0 and not method.weighted:
            raise BadInput(
                f"reg_alpha = {self.reg_alpha} with method = '{self.method}': no weight for the regulariser has been "
                "derived for this method. Set reg_alpha = 0, or use dpo, simpo or wpo"
            )
        if self.weighting == "static" and self.reg_alpha == 0:
            raise BadInput("weighting = 'static' weighs the regulariser, which reg_alpha = 0 leaves out: set reg_alpha")
        if self.reference == "none" and method.reference:
            raise BadInput(f"reference = 'none' with method = '{self.method}', which compares with a reference model")
        if self.reference == "precompute" and "kl" in method.extras:
            raise BadInput(
                f"reference = 'precompute' with method = '{self.method}', whose KL needs the reference's whole "
                "distribution at every token: use reference = 'live'"
            )
        if self.reference == "live" and not method.reference:
            raise BadInput(
                f"reference = 'live' costs a forward pass a step that '{self.method}' never looks at: use 'none', or "
                "'precompute' for the learned token rewards in the metrics"
            )
        if self.train_sampling_strategy != "random":
            raise BadInput(
                f"train_sampling_strategy = '{self.train_sampling_strategy}' saves padding, of which packed pairs have "
                "none: leave it at 'random'"
            )
        if self.reg_alpha > REG_ALPHA_DOUBTFUL:
            warnings.warn(
                f"reg_alpha = {self.reg_alpha} is far above the paper's range of 0.1 to 0.5, where the regulariser "
                "outweighs the preference loss; 0.25 is a good start",
                DoubtfulOption,
                stacklevel=4,
            )
        if self.method == "simpo" and self.beta is not None and self.beta < 1:
            warnings.warn(
                f"beta = {self.beta} is a DPO value: SimPO averages log-probs over tokens and uses 2 to 10",
                DoubtfulOption,
                stacklevel=4,
            )
        if method.reference and self.beta is not None and self.beta > 1:
            warnings.warn(
                f"beta = {self.beta} is a SimPO value: {self.method} sums log-probs over tokens and uses 0.01 to 0.5",
                DoubtfulOption,
                stacklevel=4,
            )
