"""How many tokens a model has, by its files."""

from __future__ import annotations

import json
from pathlib import Path


def vocabulary_of(model: Path, tokenizer: int) -> int:
    """Return how many embeddings a model has by its config.json; `tokenizer` if it has none."""
    try:
        config = json.loads((model / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return tokenizer
    sizes = [part.get("vocab_size") for part in (config, config.get("text_config") or {})]
    return next((size for size in sizes if isinstance(size, int)), tokenizer)
