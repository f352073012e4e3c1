"""Packed attention: a batch of pairs as one row without padding, each prompt computed once for both completions.

A pair lies in the row as [prompt | chosen | rejected], the rejected completion at the positions that follow the
prompt. Everything token-wise in the model then runs on P + C + R tokens a pair instead of 2 (P + longest); only
attention needs to know who may see whom. Sharing the prompt between the two is from arXiv 2410.20305.

The function is registered with transformers under `PACKED` and found by every model that dispatches its attention
through `AttentionInterface`. `layout_check` tests whether a model gives the same log-probs this way before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from tokenreward_trainer.data.varlen_row import VarlenRow
from tokenreward_trainer.model.causal_attention import CausalAttention
from tokenreward_trainer.model.varlen_attention import compute_dtype, varlen_attention, varlen_can

PACKED = "tokenreward_packed"

#: Tokens of prompt, chosen and rejected completion.
PairLengths = tuple[int, int, int]


class PackingUnsupported(RuntimeError):
    """The model's attention needs something that packed attention does not do."""


@dataclass(frozen=True, slots=True)
class PackedPairs:
    """What attention must know of a packed row.

    Attributes:
        lengths: The lengths of the pairs, in the order of the row.
        spread: int64 `[2B, L]`, see `data.side_by_side.SideBySide`; None attends pair by pair.
        gather: int64 `[N]`, as well.
        varlen: The row's sequences, for one variable-length call; None attends in one of the other ways.
    """

    lengths: Sequence[PairLengths]
    spread: Tensor | None = None
    gather: Tensor | None = None
    varlen: VarlenRow | None = None


def row_options(model: PreTrainedModel, device: torch.device, dtype: torch.dtype | None = None) -> dict[str, Any]:
    """Returns the collator's options for the fastest way in which a model attends to a packed row.

    Args:
        model: The model.
        device: Where it will run.
        dtype: What it will compute in; None is what it computes in here and now.
    """
    dtype = compute_dtype(model.dtype, device) if dtype is None else dtype
    varlen = varlen_can(model.config, device, dtype)
    return {"varlen": varlen, "side_by_side": device.type != "cpu" and not varlen}


@contextmanager
def packed_attention(model: PreTrainedModel) -> Iterator[None]:
    """Makes the model attend as packed pairs within the context, in the backward pass's recomputations too."""
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
    pairs: PackedPairs | None = None,
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
    if pairs.varlen is not None:
        row = pairs.varlen
        return varlen_attention(query, key, value, row, scaling=scaling, window=sliding_window, softcap=softcap), None
    causal = CausalAttention(dropout, scaling, sliding_window, softcap)
    if pairs.spread is not None and pairs.gather is not None:
        return _all_at_once(causal, query, key, value, pairs.spread, pairs.gather), None
    return _pair_by_pair(causal, query, key, value, pairs.lengths), None


def _all_at_once(
    causal: CausalAttention, query: Tensor, key: Tensor, value: Tensor, spread: Tensor, gather: Tensor
) -> Tensor:
    """One attention call over [prompt | chosen] and [prompt | rejected] of every pair as rows of a batch."""
    rows, width = spread.shape
    flat = spread.flatten()

    def side_by_side(x: Tensor) -> Tensor:
        return x.squeeze(0).index_select(1, flat).reshape(x.shape[1], rows, width, x.shape[3]).transpose(0, 1)

    attended = causal(side_by_side(query), side_by_side(key), side_by_side(value))
    return attended.transpose(1, 2).flatten(0, 1).index_select(0, gather).unsqueeze(0)


def _pair_by_pair(
    causal: CausalAttention, query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[PairLengths]
) -> Tensor:
    """Two attention calls a pair, without any padding."""
    outputs, start = [], 0
    for prompt, chosen, rejected in lengths:
        first = slice(start, start + prompt + chosen)
        shared = slice(start, start + prompt)
        second = slice(first.stop, first.stop + rejected)
        outputs.append(causal(query[:, :, first], key[:, :, first], value[:, :, first]))
        start = second.stop
        if not rejected:  # a single response
            continue
        # The prompt's queries again, so that this is plain causal attention too, which every backend has fast.
        both = [torch.cat((x[:, :, shared], x[:, :, second]), dim=2) for x in (query, key, value)]
        outputs.append(causal(both[0], both[1], both[2])[:, :, prompt:])
    if start < query.shape[2]:  # Padding at the row's end: attends to nothing, counts for nothing.
        outputs.append(torch.zeros_like(query[:, :, start:]))
    return torch.cat(outputs, dim=2).transpose(1, 2)


AttentionInterface.register(PACKED, _attend)
