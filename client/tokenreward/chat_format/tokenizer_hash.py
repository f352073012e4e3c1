"""One hash for tokenizers that give the same ids, whatever file they were read from.

A worker puts it into its fingerprint, the trainer computes it of its policy's tokenizer and refuses labels
made with another. Both hand in what the `tokenizers` library says of the tokenizer they use.
"""

from __future__ import annotations

import json
from typing import Any

from tokenreward.schema import digest

_ADDED = ("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")


def tokenizer_hash(serialized: str) -> str:
    """16 hex digits of the tokenizer's vocabulary, merges, normaliser, pre-tokenizer and added tokens.

    `serialized` is the JSON of a `tokenizers.Tokenizer`: its `to_str()`, or with transformers
    `tokenizer.backend_tokenizer.to_str()`. What does not change the ids of a text is left out: truncation,
    padding, post-processor, decoder, file layout. The chat template is no part of it either: it decides
    which text is tokenized, so it belongs to the model's hash.
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
    """The model part, with merges as pairs: older files write them as one string."""
    merges = model.get("merges")
    if not merges:
        return model
    return model | {"merges": [m.split(" ", 1) if isinstance(m, str) else list(m) for m in merges]}


def _without(part: Any, key: str) -> Any:
    """`part` without `key`, at every depth."""
    if isinstance(part, dict):
        return {name: _without(value, key) for name, value in part.items() if name != key}
    if isinstance(part, list):
        return [_without(value, key) for value in part]
    return part
