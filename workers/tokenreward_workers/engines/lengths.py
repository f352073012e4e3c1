"""Where a model computes otherwise for longer sequences, by its configuration: windows, chunks, rotary embeddings.

The configurations are those of transformers, with its defaults filled in; nothing else of transformers is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: Attributes of configurations that say how many tokens a token sees, and the kind of layer that it is said of.
WINDOWS: Mapping[str, str] = {
    "sliding_window": "sliding",
    "attention_chunk_size": "chunked",
    "sliding_window_size": "sliding",
    "local_window_size": "sliding",
    "attention_window_size": "attention",
    "window_size": "local",
}
_LONGEST = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length")
#: Kinds of rotary embeddings that change all positions once a sequence is longer than it was trained.
_CHANGING = ("dynamic", "longrope")
_UNKNOWN = 4096


def windows(config: Any) -> tuple[int, ...]:
    """Return how many tokens the layers see that do not see all: sliding windows and chunks, the smallest first.

    Args:
        config: Of the text model.
    """
    types = getattr(config, "layer_types", None)
    found: set[int] = set()
    for name, kind in WINDOWS.items():
        if types and not any(kind in str(layer) for layer in types):
            continue
        given = getattr(config, name, None)
        sizes: Iterable[Any] = given if isinstance(given, list | tuple) else (given,)
        found |= {size for size in sizes if isinstance(size, int) and not isinstance(size, bool) and size > 0}
    return tuple(sorted(found))


def longest_sequence(config: Any) -> int:
    """Return the tokens of the longest sequence that is computed alike at every length.

    Where rotary embeddings change with the length of a sequence, a pass of several sequences would change those of all,
    so all of them stay below the change.

    Args:
        config: Of the text model.
    """
    given = (getattr(config, name, None) for name in _LONGEST)
    longest = next((int(value) for value in given if isinstance(value, int) and value > 0), _UNKNOWN)
    if not any(rope.get("rope_type") in _CHANGING for rope in ropes(config)):
        return longest
    trained = [rope.get("original_max_position_embeddings") for rope in ropes(config)]
    trained.append(getattr(config, "original_max_position_embeddings", None))
    return min([longest, *(int(value) for value in trained if value)])


def ropes(config: Any) -> list[Mapping[str, Any]]:
    """Return the parameters of each rotary embedding: one, or one for each kind of layer."""
    given = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if not isinstance(given, Mapping):
        return []
    nested = [part for part in given.values() if isinstance(part, Mapping)]
    return nested or [given]
