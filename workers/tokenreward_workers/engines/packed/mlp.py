"""MLPs that read a long pass in pieces: their inner states are several times wider than everything else of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tokenreward_workers.engines.packed.attention import current


def bound_mlps(model: torch.nn.Module, tokens: int) -> None:
    """Make every plain MLP of `model` read at most `tokens` tokens at a time, which does not change its result.

    Recognised by the name that transformers gives them (LlamaMLP, Gemma2MLP, ...); layers of experts are left alone.
    """
    for module in model.modules():
        if type(module).__name__.endswith("MLP"):
            module.forward = _in_pieces(type(module).forward.__get__(module), tokens)


def _in_pieces(whole: Callable[..., Any], tokens: int) -> Callable[..., Any]:
    def forward(hidden: torch.Tensor, *others: Any, **named: Any) -> Any:
        if hidden.dim() != 3 or hidden.shape[1] <= tokens or others or named:
            return whole(hidden, *others, **named)
        out = torch.empty_like(hidden)
        layout = current()
        for at in range(0, hidden.shape[1], tokens):
            if layout is not None:
                layout.alive()
                layout.offset = at
            out[:, at : at + tokens] = whole(hidden[:, at : at + tokens])
        if layout is not None:
            layout.offset = 0
        return out

    return forward
