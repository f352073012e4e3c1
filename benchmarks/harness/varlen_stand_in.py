"""A stand-in for a GPU's variable-length attention kernel, on the CPU: as one operator forwards and one backwards.

It computes what the kernel computes, in any type, sequence by sequence. Tests compare values and gradients with it, and
`make bench-training` counts the operators of a training step around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import record_function

from tokenreward_trainer.data.varlen_row import VarlenRow
from tokenreward_trainer.model import packed_attention, varlen_attention

#: The operators' namespace; what runs inside of them is no operator call of a step.
NAMESPACE = "stand_in"


@contextmanager
def card_path() -> Iterator[None]:
    """Makes packed rows attend as on a card within the context, whatever the device and the type."""
    with (
        mock.patch.object(packed_attention, "varlen_can", return_value=True),
        mock.patch.object(varlen_attention, "kernel", _kernel),
    ):
        yield


def _kernel(
    query: Tensor, key: Tensor, value: Tensor, row: VarlenRow, scaling: float | None, back: int, softcap: float | None
) -> Tensor:
    attended: Tensor = _Attend.apply(query, key, value, row.query_starts, row.key_starts, scaling, back, softcap)
    return attended


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        ctx.save_for_backward(*inputs[:5])
        ctx.options = inputs[5:]
        with record_function(f"{NAMESPACE}::varlen"):
            return _by_sequence(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *starts = ctx.saved_tensors
        with record_function(f"{NAMESPACE}::varlen_backward"), torch.enable_grad():
            leaves = [tensor.detach().requires_grad_() for tensor in (query, key, value)]
            grads = torch.autograd.grad(_by_sequence(*leaves, *starts, *ctx.options), leaves, grad)
        return (*grads, *(None,) * 5)


def _by_sequence(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_starts: Tensor,
    key_starts: Tensor,
    scaling: float | None,
    back: int,
    softcap: float | None,
) -> Tensor:
    groups, outputs = query.shape[1] // key.shape[1], []
    for first, end, key_first, key_end in zip(
        query_starts[:-1].tolist(),
        query_starts[1:].tolist(),
        key_starts[:-1].tolist(),
        key_starts[1:].tolist(),
        strict=True,
    ):
        queries = query[first:end].transpose(0, 1)
        keys, values = (x[key_first:key_end].transpose(0, 1).repeat_interleave(groups, 0) for x in (key, value))
        own = torch.arange(end - first) + (key_end - key_first) - (end - first)
        distance = own.unsqueeze(1) - torch.arange(key_end - key_first)
        seen = (distance >= 0) & ((distance <= back) if back >= 0 else True)
        if softcap is None:
            outputs.append(F.scaled_dot_product_attention(queries, keys, values, attn_mask=seen, scale=scaling))
            continue
        scores = queries @ keys.transpose(1, 2) * (query.shape[2] ** -0.5 if scaling is None else scaling)
        weights = (softcap * torch.tanh(scores / softcap)).masked_fill(~seen, -torch.inf).softmax(-1)
        outputs.append(weights @ values)
    return torch.cat(outputs, 1).transpose(0, 1).contiguous()
