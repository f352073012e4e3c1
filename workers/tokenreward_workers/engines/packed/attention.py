"""Attention over a pack, registered with transformers as an attention implementation.

Every model that uses the attention interface of transformers runs on packs unchanged. Scale, soft-capping and sliding
window are honoured; anything else that a model might hand over is refused, never ignored. Which kernel does the work
is decided here: `varlen` on a GPU wherever it can, `lower_right` on a GPU in float32, `masked` for the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from transformers import AttentionInterface

from tokenreward_workers.engines.packed.kernels import lower_right, masked, varlen
from tokenreward_workers.engines.packed.layout import Call, Layout
from tokenreward_workers.engines.packed.tree import Pack

log = logging.getLogger(__name__)

NAME = "tokenreward_tree"
#: What attention interfaces pass that does not change the result of a forward pass without a cache.
_HARMLESS = frozenset({"position_ids", "use_cache", "output_attentions", "cache_position", "is_causal", "cache"})

Kernel = Callable[[Call, Layout], torch.Tensor]

_layout: ContextVar[Layout] = ContextVar("tokenreward_tree_layout")


@contextmanager
def attending(pack: Pack, alive: Callable[[], object]) -> Iterator[Layout]:
    """Declare that a forward pass inside is of `pack`; `alive` is called as it goes on, see `Layout`."""
    layout = Layout(pack, alive)
    token = _layout.set(layout)
    try:
        yield layout
    finally:
        _layout.reset(token)


def current() -> Layout | None:
    """The layout of the pass under way."""
    return _layout.get(None)


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
    """Attend along each run's path.

    Args:
        module: The layer.
        query: `[1, H, N, D]` of the pack's N tokens.
        key: `[1, K, N, D]`, where H is a multiple of K.
        value: `[1, K, N, D]`.
        attention_mask: Must be None.
        scaling: Of the scores; D ** -0.5 if None.
        dropout: Must be 0.
        sliding_window: How many tokens a token sees, itself included; None: all.
        softcap: The scores are squashed into (-softcap, softcap).
        **others: Must be None, or without effect on the result.

    Returns:
        `[1, N, H, D]`, and no attention weights.

    Raises:
        NotImplementedError: The layer asks for something that packs cannot give.
    """
    unknown = [name for name, given in others.items() if given is not None and name not in _HARMLESS]
    if unknown or attention_mask is not None or dropout:
        raise NotImplementedError(f"this model's attention takes {unknown or 'a mask'}, which packing cannot honour")
    layout = _layout.get()
    layout.alive()
    layout.layers += 1
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    call = Call(query, key, value, scale, sliding_window, softcap)
    return choose(call)(call, layout), None


def choose(call: Call) -> Kernel:
    """The fastest kernel that can do what the layer asks for."""
    if not call.query.is_cuda:
        return masked.attend
    if varlen.usable(call):
        return varlen.attend
    _warn_slow(str(call.query.dtype).removeprefix("torch."), call.query.shape[-1], call.softcap is not None)
    if call.window is None and call.softcap is None and call.value.shape[-1] == call.query.shape[-1]:
        return lower_right.attend
    return masked.attend


@cache
def _warn_slow(dtype: str, size: int, capped: bool) -> None:
    what = f"{dtype}, heads of {size}" + (", soft-capped scores" if capped else "")
    log.warning("this GPU's fast attention does not know this model's (%s): scoring will be several times slower", what)


AttentionInterface.register(NAME, tree_attention)
