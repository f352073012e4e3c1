"""Loading a model for packs, and every reason why it cannot be: one line each, before the worker registers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import transformers

from tokenreward.checkpoint.json_files import read_object
from tokenreward.checkpoint.loading import CAUSAL_LM, TOKEN_CLASSIFIER, first_line
from tokenreward.checkpoint.loading import load_model as load_whole
from tokenreward.checkpoint.token_classifier import names_token_classifier
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
            raise BadInput(f"torch cannot use the GPU: {first_line(error)}") from error
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
        model = load_whole(_kind(path), path, dtype=getattr(torch, dtype), attn_implementation=attention.NAME)
        return model.eval().to(device)
    except (BadInput, RuntimeError, MemoryError) as error:
        if any(out_of_memory(one) for one in (error, error.__cause__) if one is not None):
            raise BadInput(too_large(path, dtype, device)) from error
        if isinstance(error.__cause__, KeyError) and error.__cause__.args == (attention.NAME,):
            raise BadInput(f"the model in {path} has attention of its own, which cannot be scored in packs") from error
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"the model in {path} cannot be loaded: {first_line(error)}") from error


def _kind(path: Path) -> str:
    """Return the class of transformers that loads a model's folder; what is wrong with it is said by loading it."""
    config = path / "config.json"
    classifier = config.is_file() and names_token_classifier(read_object(config))
    return TOKEN_CLASSIFIER if classifier else CAUSAL_LM


def too_large(path: Path, dtype: str, device: torch.device) -> str:
    """What to tell a user whose model does not fit."""
    if device.type != "cuda":
        return f"the model in {path} does not fit this machine's memory in {dtype}: take a smaller one"
    name, total = torch.cuda.get_device_name(device), torch.cuda.mem_get_info(device)[1]
    return (
        f"the model in {path} does not fit {name} ({total / 2**30:.0f} GiB) in {dtype}: engine transformers uses one "
        "GPU for a model; take a smaller model, or engine vllm with tensor_parallel"
    )
