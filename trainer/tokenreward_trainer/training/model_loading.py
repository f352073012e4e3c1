"""Loads what a run names: its tokenizer, its models, and the configuration of a new adapter."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tokenreward.checkpoint.folder import ADAPTER_FILES, is_adapter
from tokenreward.checkpoint.hub import find_model
from tokenreward.checkpoint.keys import check_keys
from tokenreward.checkpoint.loading import CAUSAL_LM, in_one_line
from tokenreward.checkpoint.loading import load_model as load_whole
from tokenreward.checkpoint.loading import load_tokenizer as load_whole_tokenizer
from tokenreward.errors import BadInput
from tokenreward_trainer.training.settings import Lora, Model, Run
from tokenreward_trainer.training.sharding import loaded_whole


def check_models(run: Run) -> None:
    """Looks whether every model of a run is whole, before data are labeled or log-probs computed; no weight is read.

    Raises:
        BadInput: One is not, or cannot be had.
    """
    contrasted = [run.labels.weak, run.labels.strong] if run.labels.source == "contrast" else []
    for name in dict.fromkeys(name for name in [run.model.name, run.model.reference, *contrasted] if name):
        folder = find_model(name)
        if name != run.labels.strong or not is_adapter(folder):
            with loaded_whole():
                check_keys(folder, tokenizer=name == run.model.name)


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Loads the policy's tokenizer.

    Raises:
        BadInput: It cannot be loaded.
    """
    tokenizer: PreTrainedTokenizerBase = load_whole_tokenizer(find_model(name), name)
    return tokenizer


def load_model(name: str, section: Model) -> PreTrainedModel:
    """Loads a causal language model, whole or not at all.

    Args:
        name: A model directory or hub name, the policy's or another's.
        section: The run's [model] section, whose dtype and attention hold for every model of the run.

    Raises:
        BadInput: The dtype is unknown, or the model cannot be loaded or is not whole.
    """
    dtype = section.dtype
    if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise BadInput(f"model.dtype = {dtype!r} must be auto, float32, bfloat16 or float16")
    options: dict[str, Any] = {"dtype": dtype if dtype == "auto" else getattr(torch, dtype)}
    if section.attention is not None:
        options["attn_implementation"] = section.attention
    if section.quantization is not None:
        options |= _four_bits(torch.bfloat16 if dtype == "auto" else options["dtype"])
    with loaded_whole():
        model: PreTrainedModel = load_whole(CAUSAL_LM, find_model(name), name, **options)
    return model


def _four_bits(compute: torch.dtype) -> dict[str, Any]:
    """QLoRA's options (arXiv 2305.14314): 4-bit normal floats whose scales are quantised once more."""
    from accelerate import PartialState
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    # Each process packs the weights where it will train: a packed model is not moved afterwards.
    return {"quantization_config": quantization, "device_map": {"": PartialState().device}}


def load_adapted(name: str, base: str, section: Model) -> Any:
    """Loads a model, or an adapter and the model below it.

    Args:
        name: A model or an adapter, as a directory or a hub name.
        base: The model that an adapter is of.
        section: The run's [model] section.

    Returns:
        The model, and whether it is an adapter's: a `PeftModel`, whose adapter can be switched off.

    Raises:
        BadInput: One of them cannot be loaded, or the adapter is not one of that model.
    """
    folder = find_model(name)
    if not is_adapter(folder):
        return load_model(name, section), False
    from peft import PeftModel, get_peft_model_state_dict
    from transformers.modeling_utils import load_state_dict

    below = load_model(base, section)
    with in_one_line(f"the adapter {name}"):
        files = [folder / name for name in ADAPTER_FILES[1:] if (folder / name).is_file()]
        if not files:
            raise BadInput(f"{folder} has an adapter's configuration, but no weights (adapter_model.safetensors)")
        there = load_state_dict(files[0], map_location="meta").keys()
        adapted = PeftModel.from_pretrained(below, str(folder))
        wanted = get_peft_model_state_dict(adapted).keys()
        if wrong := sorted(there ^ wanted):
            kind = "lacks" if wrong[0] in wanted else "has what the model does not know:"
            raise BadInput(f"the adapter {name} is not one of {base}: it {kind} {wrong[0]}")
    return adapted, True


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
