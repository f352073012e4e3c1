"""A checkpoint of an architecture: tiny, with random weights, a tokenizer beside it, made in a few milliseconds."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.model_zoo.architectures import SHAPE, Architecture
from benchmarks.model_zoo.tokenizers import chatml


def build(architecture: Architecture, path: Path) -> Path:
    """Write a float32 checkpoint to `path`, the same one every time.

    Vectors (norms, biases, a router's corrections) are moved away from the ones and zeros that they begin as, so that
    an engine that leaves one out is found.
    """
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(zlib.crc32(architecture.name.encode()))
    model = transformers.AutoModelForCausalLM.from_config(configuration(architecture)).float()
    with torch.no_grad():
        for values in model.state_dict().values():
            if values.is_floating_point() and values.ndim == 1:
                values.add_(0.1 * torch.randn_like(values))
    model.save_pretrained(path)
    chatml().save_pretrained(path)
    return path


def configuration(architecture: Architecture) -> Any:
    """The architecture's config: what it changes, and of `SHAPE` whatever its config class knows."""
    made = transformers.CONFIG_MAPPING[architecture.model_type]
    shape = {name: value for name, value in SHAPE.items() if name in made.__dataclass_fields__}
    return made(**shape | architecture.changes)
