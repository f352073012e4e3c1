"""The load-balancing loss of a mixture-of-experts model (Switch Transformer, arXiv 2101.03961, eq. 4 to 6)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

_FUNCTION = "load_balancing_loss_func"


def routes(model: PreTrainedModel) -> bool:
    """Whether a model sends its tokens to experts and knows its own load-balancing loss."""
    return hasattr(model.config.get_text_config(), "output_router_logits") and _function_of(model) is not None


def own_weight(model: PreTrainedModel) -> float:
    """Returns the weight that a model's configuration gives the loss; 0 where it does not ask for it."""
    text = model.config.get_text_config()
    return float(getattr(text, "router_aux_loss_coef", 0.0)) if getattr(text, "output_router_logits", False) else 0.0


def router_loss(model: PreTrainedModel, router_logits: Any, attention_mask: Tensor | None) -> Tensor:
    """Computes the loss by the model's own function.

    Args:
        model: The model.
        router_logits: `[tokens, experts]` of each layer.
        attention_mask: `[rows, width]` of the padded layout, whose padding does not count; anything else is ignored.

    Returns:
        A number, differentiable.
    """
    text = model.config.get_text_config()
    experts = getattr(text, "num_local_experts", None) or text.num_experts
    mask = attention_mask if attention_mask is not None and attention_mask.dim() == 2 else None
    balance = _function_of(model)
    assert balance is not None
    return balance(router_logits, experts, text.num_experts_per_tok, mask)


def _function_of(model: PreTrainedModel) -> Callable[..., Tensor] | None:
    """The function that stands beside the model's class; FSDP puts a class of its own in front of it."""
    modules = (sys.modules.get(each.__module__) for each in type(model).__mro__)
    return next((getattr(module, _FUNCTION) for module in modules if hasattr(module, _FUNCTION)), None)
