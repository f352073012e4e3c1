"""Attention over a pack: each run looks at its own path and at nothing else.

Registered with transformers as an attention implementation, so every model that uses its attention interface
runs on packs unchanged. What the interface hands over (scale, soft-capping, sliding window) is honoured;
anything else it might hand over is refused, never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from tokenreward_workers.engines.packed.tree import Pack, Run

NAME = "tokenreward_tree"
#: What attention interfaces pass that does not change the result of a forward pass without a cache.
_HARMLESS = frozenset({"position_ids", "use_cache", "output_attentions", "cache_position", "is_causal", "cache"})


@dataclass(slots=True)
class Layout:
    """The pack of the pass under way, how many layers attended to it so far, and the masks they share.

    on_layer: called as each layer begins to attend; a long pass has no other sign of life.
    masks: (run, window) -> [S, L], 0 where a token sees another and -inf where not; None where it is plainly causal.
    """

    pack: Pack
    on_layer: Callable[[], object]
    layers: int = 0
    masks: dict[tuple[int, int | None], torch.Tensor | None] = field(default_factory=dict)


_layout: ContextVar[Layout] = ContextVar("tokenreward_tree_layout")


@contextmanager
def attending(pack: Pack, on_layer: Callable[[], object]) -> Iterator[Layout]:
    """A forward pass inside is of `pack`."""
    layout = Layout(pack, on_layer)
    token = _layout.set(layout)
    try:
        yield layout
    finally:
        _layout.reset(token)


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """query [1, H, N, D], key and value [1, K, N, D] of the pack's N tokens -> [1, N, H, D]."""
    unknown = [name for name, given in others.items() if given is not None and name not in _HARMLESS]
    if unknown or attention_mask is not None or dropout:
        raise NotImplementedError(f"this model's attention takes {unknown or 'a mask'}, which packing cannot honour")
    layout = _layout.get()
    layout.on_layer()
    layout.layers += 1
    out = torch.empty_like(query)
    for number, run in enumerate(layout.pack.runs):
        keys = _along(key, run)
        values = _along(value, run)
        mask = _mask(layout, number, run, sliding_window, query)
        one = query[:, :, run.start : run.end]
        if softcap is None:
            attended = _plain(one, keys, values, mask, scaling)
        else:
            attended = _capped(one, keys, values, mask, scaling, softcap)
        out[:, :, run.start : run.end] = attended
    return out.transpose(1, 2), None


def _along(states: torch.Tensor, run: Run) -> torch.Tensor:
    """[1, K, N, D] -> [1, K, L, D], the states of the run's path."""
    stretches = [states[:, :, start:end] for start, end in run.path]
    return stretches[0] if len(stretches) == 1 else torch.cat(stretches, dim=2)


def _mask(layout: Layout, number: int, run: Run, window: int | None, like: torch.Tensor) -> torch.Tensor | None:
    length = run.shared + run.end - run.start
    if window is not None and length <= window:
        window = None
    if run.shared == 0 and window is None:
        return None
    if (number, window) not in layout.masks:
        positions = torch.arange(length, device=like.device)
        behind = positions[run.shared :, None] - positions
        hidden = behind < 0 if window is None else (behind < 0) | (behind >= window)
        # Additive and of the queries' type: a boolean one is converted again in every layer.
        layout.masks[number, window] = torch.zeros_like(behind, dtype=like.dtype).masked_fill(hidden, -torch.inf)
    return layout.masks[number, window]


def _plain(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
) -> torch.Tensor:
    shared_heads = query.shape[1] != key.shape[1]
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=shared_heads
    )


def _capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float,
) -> torch.Tensor:
    """Soft-capped scores (Gemma-2), as transformers' eager attention computes them."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = torch.tanh(scores / softcap) * softcap
    if mask is None:
        mask = torch.full_like(scores[0, 0], -torch.inf).triu(1)
    scores = scores + mask
    return scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype) @ value


AttentionInterface.register(NAME, tree_attention)
