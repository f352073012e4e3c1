"""From a run's settings to what its memory follows from."""

from __future__ import annotations

from typing import Any

from tokenreward_trainer.model.varlen_attention import has_flash_attn
from tokenreward_trainer.planning.memory import Demand
from tokenreward_trainer.planning.model_shape import ModelShape
from tokenreward_trainer.training.config import ACCELERATOR_TOKENS, PreferenceConfig
from tokenreward_trainer.training.settings import Run

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def demand_of(run: Run, arguments: PreferenceConfig, shape: ModelShape) -> Demand:
    """Reads what a run asks of a card off its settings.

    Args:
        run: The run's settings.
        arguments: Its [train] section.
        shape: The policy's shape.
    """
    sharding = sharding_of(run)
    longest = 2 * run.data.max_length  # A pair whose prompt is short.
    if sharding == "none":
        tokens = max(arguments.forward_tokens or ACCELERATOR_TOKENS, longest)
        tokens = min(tokens, arguments.per_device_train_batch_size * longest)
    else:
        tokens = arguments.per_device_train_batch_size * longest  # A batch goes through in one pass there.
    lora = run.lora
    # `auto` is the checkpoint's own type, which is bfloat16 for every published model of this size.
    return Demand(
        shape=shape,
        trained=shape.adapter_weights(lora.r, lora.target_modules) if lora.r else shape.weights,
        weight_bytes=_BYTES.get(run.model.dtype, 2),
        half=arguments.bf16 or arguments.fp16 or _BYTES.get(run.model.dtype, 2) == 2,
        quantized=run.model.quantization is not None,
        sharding=sharding,
        cards=run.hardware.cards,
        pass_tokens=tokens,
        row_tokens=run.data.max_length,
        checkpointing=arguments.gradient_checkpointing or _activation_checkpointing(run.train),
        optimizer=str(getattr(arguments.optim, "value", arguments.optim)),
        live_reference=arguments.reference_mode == "live" and (not lora.r or run.model.reference is not None),
        full_kl="kl" in arguments.chosen_method.extras,
        fused_softcap=has_flash_attn(),
    )


def sharding_of(run: Run) -> str:
    """Returns `fsdp`, `zero3`, or `none`, also for the stages of DeepSpeed that keep weights whole."""
    if run.train.get("fsdp"):
        return "fsdp"
    deepspeed = run.train.get("deepspeed")
    if isinstance(deepspeed, dict) and deepspeed.get("zero_optimization", {}).get("stage") == 3:
        return "zero3"
    return "none"


def _activation_checkpointing(train: dict[str, Any]) -> bool:
    config = train.get("fsdp_config")
    return isinstance(config, dict) and bool(config.get("activation_checkpointing"))
