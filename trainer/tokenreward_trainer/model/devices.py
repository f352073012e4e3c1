"""What differs between devices."""

from __future__ import annotations

import gc

import torch


def exact_dtype(device: torch.device) -> torch.dtype:
    """The most exact floating point that a device has: Apple's have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def give_back_memory() -> None:
    """Of models that nobody holds any more: a scorable one is part of a cycle, and torch keeps what it has taken."""
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
