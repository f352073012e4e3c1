"""LoRA products on vLLM's CPU build: each stretch of a step's tokens times the matrices of its own adapter.

vLLM 0.32 marks a token without an adapter by index -1 and takes that as an index: in a step that has both kinds of
tokens, those of the base model are read with the adapter in the last slot (`lora/ops/torch_ops/lora_ops.py`). It also
copies an adapter's matrices for every token. Its GPU kernels do neither. These two functions stand in for its three;
to be removed when vLLM skips such tokens itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


def skip_tokens_without_adapter() -> None:
    """Change vLLM's CPU kernels in this process, EngineCore's."""
    from vllm.lora.punica_wrapper import punica_cpu

    punica_cpu.sgmv_shrink = _shrink
    punica_cpu.sgmv_expand_slice = _expand_slice


def _shrink(
    inputs: torch.Tensor,
    weights: torch.Tensor,
    output: torch.Tensor,
    starts: torch.Tensor,
    lengths: torch.Tensor,
    adapters: torch.Tensor,
    batches: int,
    longest: int,
    tokens: int,
    scaling: float,
) -> None:
    """As `sgmv_shrink`: output `[N, r]` = scaling x inputs `[N, H]` A^T; weights are `[slots, 1, r, H]`."""
    for part, adapter in _stretches(lengths, adapters, batches):
        own = weights[adapter].view(-1, weights.shape[-1]).to(output.dtype)
        output[part, : own.shape[0]] = scaling * (inputs[part].to(output.dtype) @ own.t())


def _expand_slice(
    inputs: torch.Tensor,
    weights: torch.Tensor,
    output: torch.Tensor,
    starts: torch.Tensor,
    lengths: torch.Tensor,
    adapters: torch.Tensor,
    batches: int,
    longest: int,
    tokens: int,
    offset: int,
    size: int,
    add_inputs: bool = False,
) -> None:
    """As `sgmv_expand_slice`: output `[N, offset:][:size]` += inputs `[N, r]` B^T; weights are `[slots, 1, O, r]`."""
    assert add_inputs, "an adapter adds to what its base gives"
    for part, adapter in _stretches(lengths, adapters, batches):
        own = weights[adapter].view(-1, weights.shape[-1]).to(output.dtype)
        output[part, offset : offset + size] += inputs[part].to(output.dtype) @ own.t()


def _stretches(lengths: Any, adapters: Any, batches: int) -> Iterator[tuple[slice, int]]:
    """Consecutive tokens of one adapter, without those that have none."""
    at = 0
    for length, adapter in zip(lengths[:batches].tolist(), adapters[:batches].tolist(), strict=True):
        if adapter >= 0:
            yield slice(at, at + length), adapter
        at += length
