"""Checks of training options: their names, their ranges, and which of them go together.

What is right is silent, what is supported but doubtful warns and says what to do, and what is unsupported raises.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from tokenreward.errors import BadInput, UnknownName
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.losses import METHODS
from tokenreward_trainer.training.inherited_options import check_inherited

if TYPE_CHECKING:
    from tokenreward_trainer.training.config import PreferenceConfig

WEIGHTINGS = ("dynamic", "static")
REG_SCALES = ("absolute", "labels")
TEACHER_KLS = (None, "reverse", "forward")
_NOT_NEGATIVE = (
    "gamma_ratio",
    "reg_alpha",
    "sft_weight",
    "tdpo_alpha",
    "cpo_alpha",
    "desirable_weight",
    "undesirable_weight",
    "tis_scale",
    "tgdpo_alpha",
    "router_aux_loss_coef",
)
_NAMES = [method.name for method in METHODS.values() if method.weighted]
_WEIGHTED = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"
REFERENCES = ("auto", "precompute", "live", "none")
LAYOUTS = ("auto", "packed", "padded")

#: The paper's range for alpha is {0.1, 0.25, 0.5}.
REG_ALPHA_DOUBTFUL = 1.0


def check_options(args: PreferenceConfig) -> None:
    """Checks all options of preference optimisation, and those that are inherited from TrainingArguments.

    Raises:
        BadInput: A value is unknown or out of its range, or options do not go together.
    """
    _check_names(args)
    _check_numbers(args)
    check_inherited(args)
    _check_combinations(args)
    _warn_of_doubtful(args)


def _check_names(args: PreferenceConfig) -> None:
    if args.method == "tdpo":
        raise BadInput("method = 'tdpo' is two losses: say 'tdpo1' or 'tdpo2' (the authors' default)")
    if args.method not in METHODS:
        raise UnknownName("method", args.method, list(METHODS))
    for name, value, known in (
        ("weighting", args.weighting, WEIGHTINGS),
        ("reg_scale", args.reg_scale, REG_SCALES),
        ("reference", args.reference, REFERENCES),
        ("layout", args.layout, LAYOUTS),
        ("teacher_kl", args.teacher_kl, TEACHER_KLS),
    ):
        if value not in known:
            raise UnknownName(name, str(value), [each for each in known if each])


def _check_numbers(args: PreferenceConfig) -> None:
    for name in _NOT_NEGATIVE:
        value = getattr(args, name)
        if value is not None and not 0 <= value < float("inf"):  # Refuses NaN too.
            raise BadInput(f"{name} = {value} must be 0 or more")
    if args.beta is not None and not 0 < args.beta < float("inf"):
        raise BadInput(f"beta = {args.beta} must be above 0")
    if args.sepo_fraction is not None and not 0 < args.sepo_fraction <= 1:
        raise BadInput(f"sepo_fraction = {args.sepo_fraction} must be above 0 and at most 1")
    if args.label_smoothing is not None and not 0 <= args.label_smoothing < 0.5:
        raise BadInput(f"label_smoothing = {args.label_smoothing} must be 0 or more and below 0.5")
    for name in ("tis_scale", "tgdpo_alpha"):
        if (getattr(args, name) or 0) > 2:
            raise BadInput(f"{name} = {getattr(args, name)} makes some token weights negative: it must be at most 2")
    for name in ("learning_rate", "weight_decay", "max_grad_norm", "adam_epsilon"):
        if not 0 <= getattr(args, name) < float("inf"):
            raise BadInput(f"{name} = {getattr(args, name)} must be 0 or more")
    for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"):
        if getattr(args, name) < 1:
            raise BadInput(f"{name} = {getattr(args, name)} must be 1 or more")
    if args.max_steps != -1 and args.max_steps < 1:
        raise BadInput(f"max_steps = {args.max_steps} must be 1 or more, or -1 to train for num_train_epochs")
    if args.max_steps == -1 and not 0 < args.num_train_epochs < float("inf"):
        raise BadInput(f"num_train_epochs = {args.num_train_epochs} must be above 0")
    if args.forward_tokens < 0:
        raise BadInput(f"forward_tokens = {args.forward_tokens} must be 1 or more, or 0 to leave it to the device")


def _check_combinations(args: PreferenceConfig) -> None:
    method = args.chosen_method
    for name in sorted(frozenset().union(*(each.options for each in METHODS.values()))):
        if getattr(args, name) is not None and name not in method.options:
            owners = ", ".join(f"'{each.name}'" for each in METHODS.values() if name in each.options)
            raise BadInput(f"{name} belongs to method = {owners} and would do nothing with '{args.method}': remove it")
    if args.method == "robust" and not args.label_smoothing:
        raise BadInput("method = 'robust' without label_smoothing is 'dpo': say how many labels are wrong, as in 0.1")
    if args.method == "kto" and args.per_device_train_batch_size < 2:
        raise BadInput(
            "per_device_train_batch_size = 1 with method = 'kto', whose reference point comes from the other pairs of "
            "a batch: take 2 or more"
        )
    if args.reg_alpha > 0 and not method.weighted:
        raise BadInput(
            f"reg_alpha = {args.reg_alpha} with method = '{args.method}': no weight for the regulariser has been "
            f"derived for this method. Set reg_alpha = 0, or use {_WEIGHTED}"
        )
    if method.single:
        for name in ("beta", "sft_weight"):
            if value := getattr(args, name):
                raise BadInput(f"{name} = {value} would do nothing with method = '{args.method}': remove it")
    if args.weighting == "static" and args.reg_alpha == 0:
        raise BadInput("weighting = 'static' weighs the regulariser, which reg_alpha = 0 leaves out: set reg_alpha")
    if args.reg_scale == "labels" and args.reg_alpha == 0:
        raise BadInput("reg_scale = 'labels' measures reg_alpha, and reg_alpha = 0 is none: set reg_alpha")
    if args.reference == "none" and method.reference:
        raise BadInput(f"reference = 'none' with method = '{args.method}', which compares with a reference model")
    if args.reference == "precompute" and method.single:
        raise BadInput(f"reference = 'precompute' with method = '{args.method}', which compares nothing: use 'none'")
    if args.reference == "precompute" and args.needs_live_reference:
        raise BadInput(
            f"reference = 'precompute' with method = '{args.method}', whose KL needs more of the reference than "
            "log-probs of the pairs: use reference = 'live'"
        )
    if args.reference == "live" and not method.reference:
        instead = "" if method.single else ", or 'precompute' for the learned token rewards in the metrics"
        raise BadInput(
            f"reference = 'live' costs a forward pass a step that '{args.method}' never looks at: use 'none'{instead}"
        )


def _warn_of_doubtful(args: PreferenceConfig) -> None:
    method = args.chosen_method
    if args.reg_alpha > REG_ALPHA_DOUBTFUL:
        doubt = "is far above the paper's range of 0.1 to 0.5; 0.25 is a good start"
        if args.reg_scale == "labels":
            doubt = "standard deviations of the labels: an ordinary label pulls harder than the preference loss"
        warnings.warn(f"reg_alpha = {args.reg_alpha} {doubt}", DoubtfulOption, stacklevel=5)
    if "gamma_ratio" in method.options and args.beta is not None and args.beta < 1:
        warnings.warn(
            f"beta = {args.beta} is a DPO value: {method.shown} averages log-probs over tokens and uses 2 to 10",
            DoubtfulOption,
            stacklevel=5,
        )
    if method.reference and not method.length_normalised and args.beta is not None and args.beta > 1:
        warnings.warn(
            f"beta = {args.beta} is a SimPO value: {args.method} sums log-probs over tokens and uses 0.01 to 0.5",
            DoubtfulOption,
            stacklevel=5,
        )
