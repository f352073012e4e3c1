"""What differs between devices: their most exact numbers, their memory, and how many rows of logits they hold."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

#: Float32 logits alive at once on a CPU (64 MiB): more does not run faster there.
CPU_CHUNK_ELEMENTS = 1 << 24
#: Rows of logits alive at once on an accelerator. With fewer, each product with the LM head is too small to fill the
#: device, and reading the head's weight again for each of them takes most of the time.
ACCELERATOR_CHUNK_ROWS = 4096
#: The share of the device's unused memory that float32 logits may take. Their low-precision copy, a reference's logits
#: and the head's gradient need room beside them.
_LOGITS_SHARE = 1 / 16


def exact_dtype(device: torch.device) -> torch.dtype:
    """Returns the most exact floating-point type of a device: Apple's GPUs have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def give_back_memory() -> None:
    """Frees the memory of models that nobody holds any more.

    A scorable model is part of a reference cycle, and torch keeps what it has taken from an accelerator.
    """
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()


@contextmanager
def placed(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Holds a model on a device within the context. FSDP and DeepSpeed leave it on the CPU until they shard it."""
    home = next(model.parameters()).device
    moves = home.type != device.type
    if moves:
        model.to(device)
    try:
        yield
    finally:
        if moves:
            model.to(home)


def logit_rows(vocabulary: int, device: torch.device) -> int:
    """Returns how many rows of float32 logits to hold at once.

    Args:
        vocabulary: The columns of a row.
        device: Where the logits are computed.

    Returns:
        At least 1. On a GPU it is `ACCELERATOR_CHUNK_ROWS`, or a smaller power of two where memory is short. It
        depends on what torch has allocated and not on timing, so a rerun cuts its chunks alike.
    """
    few = max(1, CPU_CHUNK_ELEMENTS // vocabulary)
    if device.type != "cuda":
        return few
    total = torch.cuda.get_device_properties(device).total_memory
    return rows_within(int((total - torch.cuda.memory_allocated(device)) * _LOGITS_SHARE), vocabulary)


def rows_within(memory: int, vocabulary: int) -> int:
    """Returns the largest power of two of float32 rows in `memory` bytes, between the CPU's and an accelerator's."""
    few = max(1, CPU_CHUNK_ELEMENTS // vocabulary)
    rows = max(1, memory // (4 * vocabulary))
    return max(few, min(ACCELERATOR_CHUNK_ROWS, 1 << (rows.bit_length() - 1)))
