"""Loading a model for packs, and every reason why it cannot be: one line each, before the worker registers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import transformers

from tokenreward.errors import BadInput
from tokenreward_workers.engines.loading import out_of_memory
from tokenreward_workers.engines.packed import attention


def pick_device() -> torch.device:
    """The GPU, or the CPU where there is none.

    Raises:
        BadInput: There is a GPU that torch cannot use, which is a driver that is too old as a rule.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if torch.version.cuda is not None and not hidden and Path("/dev/nvidiactl").exists():
        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise BadInput(f"torch cannot use the GPU: {_line(error)}") from error
    return torch.device("cpu")


def load_model(path: Path, dtype: str, device: torch.device) -> Any:
    """Load a model in evaluation mode, with attention that knows packs.

    Args:
        path: A model directory.
        dtype: Of the weights.
        device: One device: this engine does not spread a model over several.

    Raises:
        BadInput: It cannot be loaded, its architecture is not supported, or it does not fit the device.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, dtype), attn_implementation=attention.NAME
        )
        return model.eval().to(device)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BadInput(f"the model in {path} cannot be loaded: {_line(error)}") from error
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            raise BadInput(too_large(path, dtype, device)) from error
        raise BadInput(f"the model in {path} cannot be loaded: {_line(error)}") from error


def too_large(path: Path, dtype: str, device: torch.device) -> str:
    """What to tell a user whose model does not fit."""
    if device.type != "cuda":
        return f"the model in {path} does not fit this machine's memory in {dtype}: take a smaller one"
    name, total = torch.cuda.get_device_name(device), torch.cuda.mem_get_info(device)[1]
    return (
        f"the model in {path} does not fit {name} ({total / 2**30:.0f} GiB) in {dtype}: engine transformers uses one "
        "GPU for a model; take a smaller model, or engine vllm with tensor_parallel"
    )


def longest_sequence(config: Any) -> int:
    """Tokens of the longest sequence.

    Where rotary embeddings change with the length of the sequence, packed sequences must stay below the change.
    """
    longest = int(getattr(config, "max_position_embeddings", None) or 4096)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("dynamic", "longrope"):
        return int(rope.get("original_max_position_embeddings") or longest)
    return longest


def _line(error: BaseException) -> str:
    """The first line of an exception that says something."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)
