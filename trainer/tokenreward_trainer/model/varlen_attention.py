"""One variable-length attention call a layer for a whole packed row, on a GPU whose kernels can do it.

The kernel is PyTorch's own (`torch.nn.attention.varlen`), which runs flash attention; where the `flash_attn` package is
installed, its kernel does Gemma 2's soft caps too. Both compute in 16 bits only. Everything else attends side by side
(`data.side_by_side`).
"""

from __future__ import annotations

import inspect
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from tokenreward_trainer.data.varlen_row import VarlenRow

_HALVES = (torch.bfloat16, torch.float16)
#: Flash attention's widest head.
_WIDEST_HEAD = 256
#: Its first generation of cards: Ampere.
_OLDEST_CARD = (8, 0)


def varlen_can(config: Any, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a kernel does what a model's attention needs.

    Args:
        config: The model's configuration.
        device: Where it runs.
        dtype: What it computes in: autocast's type, or that of the weights.
    """
    text = config.get_text_config()
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    if getattr(text, "attention_dropout", 0.0) or width > _WIDEST_HEAD or dtype not in _HALVES:
        return False
    return _card_can(device) and (not getattr(text, "attn_logit_softcapping", None) or has_flash_attn())


def compute_dtype(weights: torch.dtype, device: torch.device) -> torch.dtype:
    """Returns what a model with such weights computes in here and now: autocast's type, or their own."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else weights


def varlen_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    row: VarlenRow,
    *,
    scaling: float | None = None,
    window: int | None = None,
    softcap: float | None = None,
) -> Tensor:
    """Attends causally within each sequence of a packed row.

    Args:
        query: `[1, heads, N, D]`.
        key: `[1, key heads, N, D]`, where the number of key heads divides that of heads.
        value: The same shape as `key`.
        row: Where the sequences are.
        scaling: The factor on query-key products; None is 1/sqrt(D).
        window: A query sees this many tokens back, itself included; None is all of them.
        softcap: Gemma 2's cap on query-key products; None is no cap.

    Returns:
        `[1, N, heads, D]`, in the type that attention computed in.
    """
    # Custom operators are not on autocast's list, and rotary embeddings give float32 beside 16-bit values.
    dtype = compute_dtype(value.dtype, value.device)
    query, key, value = (x if x.dtype == dtype else x.to(dtype) for x in (query, key, value))
    queries = query.transpose(1, 2).squeeze(0)
    # A token's heads lie beside each other in memory, so that each key is copied as one piece.
    keys, values = (x.transpose(1, 2).index_select(1, row.keys).view(-1, *x.shape[1::2]) for x in (key, value))
    back = -1 if window is None else window - 1
    return kernel(queries, keys, values, row, scaling, back, softcap).unsqueeze(0)


def kernel(
    query: Tensor, key: Tensor, value: Tensor, row: VarlenRow, scaling: float | None, back: int, softcap: float | None
) -> Tensor:
    """Runs the kernel of the installed library: query `[N, heads, D]`, key and value `[K, key heads, D]`.

    Args:
        query: The row's queries.
        key: The keys in the order of `row.keys`.
        value: The values, likewise.
        row: Where the sequences are.
        scaling: The factor on query-key products; None is 1/sqrt(D).
        back: How many tokens before its own a query sees; -1 is all of them.
        softcap: The cap on query-key products, which needs `flash_attn`; None is no cap.

    Returns:
        `[N, heads, D]`.
    """
    places = (row.query_starts, row.key_starts, row.most_queries, row.most_keys)
    if softcap is not None:
        found: Tensor = import_module("flash_attn").flash_attn_varlen_func(
            query, key, value, *places, softmax_scale=scaling, causal=True, window_size=(back, 0), softcap=softcap
        )
        return found
    from torch.nn.attention.varlen import varlen_attn

    # The first versions take grouped queries unasked.
    grouped: dict[str, Any] = {"enable_gqa": True} if query.shape[1] != key.shape[1] and _asks_for_groups() else {}
    attended = varlen_attn(query, key, value, *places, scale=scaling, window_size=(back, 0), **grouped)
    assert isinstance(attended, Tensor)  # It gives a pair only where it is asked for more than the output.
    return attended


@cache
def has_flash_attn() -> bool:
    """Whether the `flash_attn` package is installed, whose kernel caps scores on the fly."""
    return find_spec("flash_attn") is not None


@cache
def _card_can(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.hip or torch.cuda.get_device_capability(device) < _OLDEST_CARD:
        return False
    if find_spec("torch.nn.attention.varlen") is None:
        return False
    from torch.nn.attention.varlen import varlen_attn

    return "window_size" in inspect.signature(varlen_attn).parameters


@cache
def _asks_for_groups() -> bool:
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in inspect.signature(varlen_attn).parameters
