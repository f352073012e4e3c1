"""Attention windows that are made small for a check, and put back: what they do then shows in few tokens.

Models read a window from their configuration when they build a mask, and from an attribute of the same name when they
call attention. Both are narrowed alike. If only one of them reaches packed attention, log-probs differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

#: Names of a window's size in configurations and on attention layers.
_NAMES = ("sliding_window", "attention_chunk_size", "sliding_window_size", "attention_window", "window_size")
#: Tokens that a query sees, itself included, while windows are narrow.
NARROW = 4
#: Up to this size a window that is kept somewhere else too is checked as it is, with texts that are longer than it.
_CHECKED_WHOLE = 256
#: Tokens that a text of the check has beside the window.
_BESIDE = 12


@contextmanager
def narrow_windows(model: nn.Module) -> Iterator[int]:
    """Narrows every attention window of a model within the context.

    Args:
        model: The model without wrappers.

    Yields:
        The largest window that texts of a check should exceed, in tokens: 0 where the model has none.
    """
    holders = [*_configurations(model), *model.modules()]
    found = [(holder, name, size) for holder in holders for name in _NAMES if (size := _size(holder, name)) is not None]
    for holder, name, size in found:
        setattr(holder, name, min(size, NARROW))
    try:
        sizes = {each for _, _, size in found for each in (size, min(size, NARROW)) if each <= _CHECKED_WHOLE}
        yield max((size for size in sizes if size + _BESIDE <= _positions(model)), default=0)
    finally:
        for holder, name, size in found:
            setattr(holder, name, size)


def _positions(model: nn.Module) -> float:
    """How many tokens the model has positions for."""
    known = [vars(config).get("max_position_embeddings") for config in _configurations(model)]
    return min((limit for limit in known if type(limit) is int and limit > 0), default=float("inf"))


def _size(holder: Any, name: str) -> int | None:
    size = vars(holder).get(name)
    return size if type(size) is int and size > 0 else None


def _configurations(model: nn.Module) -> list[Any]:
    """The configurations of the model and its parts, each once, and those inside of them."""
    found: dict[int, Any] = {}
    for module in model.modules():
        config = getattr(module, "config", None)
        if config is None or not hasattr(config, "get_text_config"):
            continue
        for each in (config, config.get_text_config()):
            found[id(each)] = each
    return [*found.values()]
