"""TODO: what this module owns."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from tokenreward.errors import BadInput
from tokenreward_trainer.training.settings import Run


def _tokenizer(name: str) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise BadInput(f"model.name = {name!r}: its tokenizer cannot be loaded: {error}") from None


def _model(run: Run, name: str) -> PreTrainedModel:
    dtype = run.model.dtype
    if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise BadInput(f"model.dtype = {dtype!r} must be auto, float32, bfloat16 or float16")
    options: dict[str, Any] = {"dtype": dtype if dtype == "auto" else getattr(torch, dtype)}
    if run.model.attention is not None:
        options["attn_implementation"] = run.model.attention
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise BadInput(f"model {name!r} cannot be loaded: {error}") from None
    return model


def _lora(run: Run) -> Any:
    if run.lora.r == 0:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=run.lora.r,
        lora_alpha=run.lora.alpha,
        lora_dropout=run.lora.dropout,
        target_modules=run.lora.target_modules,
        task_type="CAUSAL_LM",
    )
