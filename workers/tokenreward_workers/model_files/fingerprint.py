"""A worker's fingerprint: everything that may change its log-probs, as hashes of content, not of names.

model_hash covers the weights, the configuration that shapes the forward pass, and the chat template (it
decides which text the model reads). tokenizer_hash is `tokenreward.chat_format.tokenizer_hash`, which the trainer
computes too.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tokenreward.chat_format import ChatFormat
from tokenreward.schema import Fingerprint, digest
from tokenreward_workers.engines.base import EngineInfo
from tokenreward_workers.model_files.resolve import cache_dir

#: Of config.json: who wrote it and for which type, not what the model computes.
_NOT_COMPUTED = frozenset({"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"})


def fingerprint(name: str, path: Path | None, chat: ChatFormat, engine: EngineInfo) -> Fingerprint:
    """Make what a worker publishes, and jobs are pinned to.

    Args:
        name: The name of the model that clients ask for.
        path: Its directory; None for an engine without a model (synthetic).
        chat: Its tokenizer and chat template.
        engine: What scores.
    """
    return Fingerprint(
        model=name,
        model_hash=model_hash(path, chat.chat_template) if path else digest({"none": engine.name}),
        tokenizer_hash=chat.hash,
        engine=engine.name,
        engine_version=engine.version,
        dtype=engine.dtype,
    )


def model_hash(path: Path, chat_template: str) -> str:
    """Hash the weights' content, the configuration and the chat template.

    Weights are read once: their hashes are remembered in the cache directory by path, size and time.

    Returns:
        16 hex digits.
    """
    weights = sorted(path.glob("*.safetensors")) or sorted(path.glob("*.bin"))
    return digest(
        {
            "weights": {file.name: _remembered(file) for file in weights},
            "config": _config(path / "config.json"),
            "chat_template": chat_template,
        }
    )


def _config(file: Path) -> dict[str, Any]:
    content = json.loads(file.read_text("utf-8"))
    return {key: value for key, value in content.items() if key not in _NOT_COMPUTED}


def _remembered(file: Path) -> str:
    """Return the sha256 of a file, out of the cache if path, size and time are those of an earlier reading."""
    real = file.resolve()
    stat = real.stat()
    note = cache_dir() / "hashes" / digest({"path": str(real), "size": stat.st_size, "mtime": stat.st_mtime_ns})
    if note.is_file() and len(known := note.read_text("ascii")) == 64:
        return known
    with real.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(found, "ascii")
    return found
