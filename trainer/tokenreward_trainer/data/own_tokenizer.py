"""Whether labels belong to the policy's tokenizer, which may have got a padding token of its own since."""

from __future__ import annotations

import json
from typing import Any

from transformers import PreTrainedTokenizerBase

from tokenreward.chat_format.tokenizer_hash import tokenizer_hash


def own_hashes(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """Returns the hashes of the tokenizer, and of it without a padding token that was added to it.

    A padding token that the vocabulary did not have stands in no text, so the ids of every text are the same without
    it. Models without one are often given it for training.
    """
    serialized = tokenizer.backend_tokenizer.to_str()
    content: dict[str, Any] = json.loads(serialized)
    pad, added = tokenizer.pad_token, content.get("added_tokens") or []
    last = max((token["id"] for token in added), default=-1)
    kept = [token for token in added if token["content"] != pad or token["id"] != last]
    hashes = {tokenizer_hash(serialized)}
    if len(kept) < len(added) and pad not in _entries(content):
        hashes.add(tokenizer_hash(json.dumps(content | {"added_tokens": kept})))
    return hashes


def _entries(content: dict[str, Any]) -> set[str]:
    """The entries of the vocabulary itself; a Unigram model has [text, score] in the order of ids."""
    vocabulary = content["model"].get("vocab") or {}
    return set(vocabulary) if isinstance(vocabulary, dict) else {text for text, _ in vocabulary}
