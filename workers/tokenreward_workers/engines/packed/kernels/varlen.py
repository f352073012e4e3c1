"""All runs of a pack in one launch: torch's variable-length attention, on a GPU in half precision.

The queries are the runs, and the keys are their paths, gathered once per layer. The kernel aligns its causal mask at
the bottom right, so each run sees its whole path up to itself; no mask is ever made.

`torch.nn.attention.varlen.varlen_attn` takes `scale` and `window_size` from torch 2.11 on (in 2.10 it had `is_causal`
and no scale, which is not enough). Later versions want `enable_gqa=True` where key heads are shared, and refuse
shared heads without it; earlier ones do not know the word, and their kernel shares heads unasked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from tokenreward_workers.engines.packed.layout import Call, Layout, launches

#: Bytes of gathered keys and values that are held at a time.
_GATHERED_BYTES = 512 * 2**20
_LARGEST_HEAD = 256


def usable(call: Call) -> bool:
    """Whether torch, the card and the layer allow it."""
    size = call.query.shape[-1]
    return (
        installed() is not None
        and call.softcap is None
        and call.query.dtype in (torch.bfloat16, torch.float16)
        and size % 8 == 0
        and size <= _LARGEST_HEAD
        and call.value.shape[-1] == size
        and torch.cuda.get_device_capability(call.query.device) >= (8, 0)
    )


def attend(call: Call, layout: Layout) -> torch.Tensor:
    """Attend for all runs at once, or for a few at a time where their paths are too many keys to gather."""
    kernel = installed()
    assert kernel is not None, "usable() was not asked"
    # [1, heads, N, D] -> [N, heads, D]
    query, key, value = (states[0].transpose(0, 1) for states in (call.query, call.key, call.value))
    if not layout.launches:
        each = (key.shape[1] * key.shape[2] + value.shape[1] * value.shape[2]) * key.element_size()
        layout.launches = launches(layout.pack, max(1, _GATHERED_BYTES // each), query.device)
    window = (-1 if call.window is None else call.window - 1, 0)
    parts = []
    for launch in layout.launches:
        own = slice(launch.start, launch.end)
        parts.append(
            kernel(
                query[own],
                key[own] if launch.gather is None else key.index_select(0, launch.gather),
                value[own] if launch.gather is None else value.index_select(0, launch.gather),
                launch.query_bounds,
                launch.key_bounds,
                launch.longest_query,
                launch.longest_key,
                scale=call.scale,
                window_size=window,
                **_sharing(kernel, call.groups),
            )
        )
    return (parts[0] if len(parts) == 1 else torch.cat(parts))[None]


@cache
def installed() -> Callable[..., Any] | None:
    """torch's `varlen_attn`, if it is there and takes a scale and a window."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn if {"scale", "window_size"} <= _parameters(varlen_attn) else None


def _sharing(kernel: Callable[..., Any], groups: int) -> dict[str, bool]:
    return {"enable_gqa": True} if groups > 1 and "enable_gqa" in _parameters(kernel) else {}


@cache
def _parameters(kernel: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(kernel).parameters)
