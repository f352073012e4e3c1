"""One hash for tokenizers that give the same ids, from any file they were read from.

A worker puts it into its fingerprint. The trainer computes it of its policy's tokenizer and refuses labels made with
another. Both take it of the tokenizer's serialization by the `tokenizers` library.
"""

from __future__ import annotations

import json
from typing import Any

from tokenreward.schema import digest

_ADDED = ("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")


def tokenizer_hash(serialized: str) -> str:
    """Return 16 hex digits of the tokenizer's vocabulary, merges, normaliser, pre-tokenizer and added tokens.

    Parts that do not change the ids of a text are left out: truncation, padding, post-processor, decoder, file layout.
    So is the chat template: it decides which text is tokenized, and belongs to the model's hash.

    Args:
        serialized: The JSON of a `tokenizers.Tokenizer`: its `to_str()`, or with transformers
            `tokenizer.backend_tokenizer.to_str()`.
    """
    tokenizer = json.loads(serialized)
    added = sorted(tokenizer.get("added_tokens") or [], key=lambda token: token["id"])
    return digest(
        {
            "model": _model(tokenizer["model"]),
            "normalizer": tokenizer.get("normalizer"),
            "pre_tokenizer": _without(tokenizer.get("pre_tokenizer"), "trim_offsets"),
            "added_tokens": [{key: token.get(key) for key in _ADDED} for token in added],
        }
    )


def _model(model: dict[str, Any]) -> dict[str, Any]:
    """Return the model part, with merges as pairs. Older files write them as strings."""
    merges = model.get("merges")
    if not merges:
        return model
    return model | {"merges": [m.split(" ", 1) if isinstance(m, str) else list(m) for m in merges]}


def _without(part: Any, key: str) -> Any:
    """Return `part` without `key`, at every depth."""
    if isinstance(part, dict):
        return {name: _without(value, key) for name, value in part.items() if name != key}
    if isinstance(part, list):
        return [_without(value, key) for value in part]
    return part
