"""What is done to a model before training: its adapter, its dropout, and checks that need both options and model."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import BatchLayout
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.model.devices import placed
from tokenreward_trainer.model.layout_check import checked_row_options
from tokenreward_trainer.model.router_loss import own_weight, routes
from tokenreward_trainer.model.scorable import base_of
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.sharding import in_shards


def adapted(model: nn.Module, peft_config: Any, args: PreferenceConfig) -> nn.Module:
    """Puts the model into its adapter, if there is one, and makes it ready for gradient checkpointing.

    Args:
        model: The policy, with or without an adapter.
        peft_config: A new adapter's configuration, or None.
        args: Says whether gradients are checkpointed.

    Returns:
        The model to train.

    Raises:
        BadInput: The model has an adapter, and another one is asked for.
    """
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


def without_dropout(model: nn.Module) -> None:
    """Sets all dropout to 0. For an adapter's, which somebody has asked for, it warns."""
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
    """Warns if the weights to train are in 16 bits."""
    low = {p.dtype for p in model.parameters() if p.requires_grad} & {torch.bfloat16, torch.float16}
    if low:
        warnings.warn(
            f"the weights to train are in {low.pop()}, where small steps are rounded away: load the model in float32 "
            "and set bf16 = true, or train an adapter",
            DoubtfulOption,
            stacklevel=3,
        )


def router_weight(model: nn.Module, args: PreferenceConfig) -> float:
    """Returns the weight of the load-balancing loss.

    Raises:
        BadInput: One is asked for, and the model is no mixture of experts.
    """
    base = base_of(model)
    if args.router_aux_loss_coef is None:
        return own_weight(base) if routes(base) else 0.0
    if args.router_aux_loss_coef > 0 and not routes(base):
        raise BadInput(
            f"router_aux_loss_coef = {args.router_aux_loss_coef} balances the experts of a mixture, and "
            f"{type(base).__name__} has none: remove it"
        )
    return args.router_aux_loss_coef


def row_options_on(
    model: nn.Module, layout: BatchLayout, device: torch.device, half: torch.dtype | None
) -> dict[str, Any]:
    """Chooses how a model attends to packed rows, once it stands on its device.

    Args:
        model: A scorable model.
        layout: The batch layout.
        device: Where it will train.
        half: What autocast computes in; None trains in the weights' own type.

    Returns:
        The collator's options.
    """
    if layout == "padded" or in_shards(model):
        return {}
    with placed(model, device):
        options, why = checked_row_options(model, device, half or base_of(model).dtype)
    if why is not None:
        warnings.warn(
            f"one variable-length attention call a layer is not right here, so rows stand side by side: {why}",
            DoubtfulOption,
            stacklevel=3,
        )
    return options
