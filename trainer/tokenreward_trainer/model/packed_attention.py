"""Packed attention: a batch of pairs as one row without padding, each prompt computed once for both completions.

A pair lies in the row as [prompt | chosen | rejected], the rejected completion at the positions that follow the
prompt. Everything token-wise in the model then runs on P + C + R tokens a pair instead of 2 (P + longest); only
attention needs to know who may see whom. Sharing the prompt between the two is from arXiv 2410.20305.

The function is registered with transformers under `PACKED` and found by every model that dispatches its attention
through `AttentionInterface`; whether a model gives the same log-probs this way is checked before it is used (model.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

PACKED = "tokenreward_packed"

#: Tokens of prompt, chosen and rejected completion.
PairLengths = tuple[int, int, int]


class PackingUnsupported(RuntimeError):
    """This model's attention needs something that packed attention does not do."""


@contextmanager
def packed_attention(model: PreTrainedModel) -> Iterator[None]:
    """Within, the model attends as packed pairs, in the backward pass's recomputations too."""
    configs = {id(m.config): m.config for m in model.modules() if isinstance(m, PreTrainedModel)}.values()
    before = [config._attn_implementation for config in configs]
    for config in configs:
        config._attn_implementation_internal = PACKED
    try:
        yield
    finally:
        for config, implementation in zip(configs, before, strict=True):
            config._attn_implementation_internal = implementation


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    pairs: Sequence[PairLengths] | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """query [1, heads, N, D], key and value [1, key heads, N, D] -> [1, N, heads, D]."""
    if pairs is None:
        raise PackingUnsupported("the model does not pass keyword arguments on to its attention")
    if kwargs.get("s_aux") is not None or kwargs.get("position_bias") is not None:
        raise PackingUnsupported("attention sinks and position biases are not supported")

    def causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if softcap is not None:
            return _softcapped(q, k, v, softcap, scaling, sliding_window, dropout)
        mask = _window_mask(q, sliding_window)
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, scale=scaling, enable_gqa=grouped
        )

    grouped = query.shape[1] != key.shape[1]
    outputs, start = [], 0
    for prompt, chosen, rejected in pairs:
        first = slice(start, start + prompt + chosen)
        shared = slice(start, start + prompt)
        second = slice(first.stop, first.stop + rejected)
        outputs.append(causal(query[:, :, first], key[:, :, first], value[:, :, first]))
        # The prompt's queries again, so that this is plain causal attention too, which every backend has fast.
        both = [torch.cat((x[:, :, shared], x[:, :, second]), dim=2) for x in (query, key, value)]
        outputs.append(causal(both[0], both[1], both[2])[:, :, prompt:])
        start = second.stop
    if start < query.shape[2]:  # Padding at the row's end: attends to nothing, counts for nothing.
        outputs.append(torch.zeros_like(query[:, :, start:]))
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _window_mask(query: Tensor, window: int | None) -> Tensor | None:
    """None where plain causal attention is meant, else bool [L, L], True where query i may see key j."""
    length = query.shape[2]
    if window is None or length <= window:
        return None
    position = torch.arange(length, device=query.device)
    distance = position.unsqueeze(1) - position.unsqueeze(0)
    return (distance >= 0) & (distance < window)


def _softcapped(
    query: Tensor, key: Tensor, value: Tensor, cap: float, scaling: float | None, window: int | None, dropout: float
) -> Tensor:
    """Gemma 2's attention, which no fused kernel does: softmax(cap tanh(q k' / cap)) v."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = cap * torch.tanh(scores / cap)
    length = query.shape[2]
    allowed = _window_mask(query, window)
    if allowed is None:
        allowed = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    weights = scores.masked_fill(~allowed, -torch.inf).softmax(
        -1, dtype=torch.promote_types(scores.dtype, torch.float32)
    )
    return F.dropout(weights.to(query.dtype), dropout) @ value


AttentionInterface.register(PACKED, _attend)
