"""What is done to data and model before training: the data set, and the checks that need both options and objects."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Example, Pair
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.model.scoring import base_of
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.reference_logps import PairLogps


class PairDataset(Dataset[Example]):
    """Pairs, and (chosen, rejected) reference log-probs for each once they are known."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        self.ref_logps: list[PairLogps] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        return Example(index, self.pairs[index], None if self.ref_logps is None else self.ref_logps[index])

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))


def check_labels(pairs: Sequence[Pair] | None, args: PreferenceConfig) -> PairDataset | None:
    if pairs is None:
        return None
    if not pairs:
        raise BadInput("the data set has no pairs")
    unlabeled = sum(pair.chosen_rewards is None or pair.rejected_rewards is None for pair in pairs)
    if unlabeled and args.needs_labels:
        why = f"reg_alpha = {args.reg_alpha}" if args.reg_alpha > 0 else f"method = '{args.method}'"
        raise BadInput(
            f"{why} needs token rewards, and {unlabeled} of {len(pairs)} pairs have none: label them "
            "(`tokenreward label`), or set reg_alpha = 0 and another method than sepo"
        )
    if 0 < unlabeled < len(pairs):
        raise BadInput(f"{unlabeled} of {len(pairs)} pairs have no token rewards: label all of them or none")
    return PairDataset(pairs)


def without_dropout(model: nn.Module) -> None:
    """Sets all dropout to 0; an adapter's, which somebody has asked for, with a warning."""
    lost = 0.0
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            lost = max(lost, module.p) if "lora_dropout" in name else lost
            module.p = 0.0
    if lost:
        warnings.warn(
            f"the adapter's dropout of {lost} is off, as all dropout: set disable_dropout = false to have it",
            DoubtfulOption,
            stacklevel=3,
        )


def check_precision(model: nn.Module) -> None:
    low = {p.dtype for p in model.parameters() if p.requires_grad} & {torch.bfloat16, torch.float16}
    if low:
        warnings.warn(
            f"the weights to train are in {low.pop()}, where small steps are rounded away: load the model in float32 "
            "and set bf16 = true, or train an adapter",
            DoubtfulOption,
            stacklevel=3,
        )


def adapted(model: nn.Module, peft_config: Any, args: PreferenceConfig) -> nn.Module:
    """The model in its adapter, if there is one, ready for gradient checkpointing."""
    is_peft = hasattr(model, "peft_config")
    if peft_config is not None:
        if is_peft:
            raise BadInput("the model has an adapter already: merge it (merge_and_unload) or leave peft_config out")
        from peft import get_peft_model

        model = get_peft_model(model, peft_config)
    elif is_peft and any(bool(p.detach().any()) for name, p in model.named_parameters() if "lora_B" in name):
        warnings.warn(
            "the adapter is not new: the reference is the base model with the adapter off, not the model as it is "
            "now. Pass ref_model if that is not what you mean",
            DoubtfulOption,
            stacklevel=3,
        )
    if hasattr(model, "peft_config") and args.gradient_checkpointing:
        # The Trainer should do this: transformers#42489. Without it, a frozen embedding cuts the graph.
        base_of(model).enable_input_require_grads()
    return model
