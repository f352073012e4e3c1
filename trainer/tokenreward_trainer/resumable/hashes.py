"""Hashes of what a run depends on, by content: files, models, options. Paths and times are in none of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tokenreward.schema import digest

__all__ = ["digest", "file_hash", "model_hash"]

#: What a model directory's answers depend on; a README or an optimizer's state is no part of it.
_MODEL_FILES = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt")
_NO_PART = ("trainer_state.json", "run.json", "training_args.bin", "optimizer.bin", "scheduler.bin")


def file_hash(path: Path) -> str:
    """Returns the sha256 of a file, as 16 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def model_hash(name: str) -> str:
    """Hashes a model.

    Args:
        name: A model directory, whose files are hashed, or a hub name, which is hashed itself.

    Returns:
        The hash as hex digits.
    """
    directory = Path(name).expanduser()
    if not directory.is_dir():
        return digest({"hub": name})
    files = {path for pattern in _MODEL_FILES for path in directory.glob(pattern) if path.name not in _NO_PART}
    return digest({path.name: file_hash(path) for path in sorted(files)})
