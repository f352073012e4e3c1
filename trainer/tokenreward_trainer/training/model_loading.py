"""Loads what a run names: its tokenizer, its models, and the configuration of a new adapter."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from tokenreward.errors import BadInput
from tokenreward_trainer.training.settings import Lora, Model


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Loads the policy's tokenizer.

    Raises:
        BadInput: It cannot be loaded.
    """
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise BadInput(f"model.name = {name!r}: its tokenizer cannot be loaded: {error}") from None


def load_model(name: str, section: Model) -> PreTrainedModel:
    """Loads a causal language model.

    Args:
        name: A model directory or hub name, the policy's or another's.
        section: The run's [model] section, whose dtype and attention hold for every model of the run.

    Raises:
        BadInput: The dtype is unknown, or the model cannot be loaded.
    """
    dtype = section.dtype
    if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise BadInput(f"model.dtype = {dtype!r} must be auto, float32, bfloat16 or float16")
    options: dict[str, Any] = {"dtype": dtype if dtype == "auto" else getattr(torch, dtype)}
    if section.attention is not None:
        options["attn_implementation"] = section.attention
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise BadInput(f"model {name!r} cannot be loaded: {error}") from None
    return model


def lora_config(section: Lora) -> Any:
    """Returns peft's LoraConfig for a new adapter; None where all weights are trained."""
    if section.r == 0:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=section.r,
        lora_alpha=section.alpha,
        lora_dropout=section.dropout,
        target_modules=section.target_modules,
        task_type="CAUSAL_LM",
    )
