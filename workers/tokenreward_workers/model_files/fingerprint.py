"""A worker's fingerprint: everything that may change its log-probs, as hashes of content, not of names.

model_hash covers the weights and the configuration that shapes the forward pass, whatever files they are cut into. The
chat template, which decides which text the model reads, has a hash of its own, and so has the tokenizer; the trainer
computes both, too (`tokenreward.chat_format`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO, Any

from tokenreward.chat_format import ChatFormat
from tokenreward.checkpoint.json_files import read_object
from tokenreward.checkpoint.safetensors_file import read_header
from tokenreward.checkpoint.token_classifier import training_data_hash
from tokenreward.checkpoint.weight_files import weight_files
from tokenreward.schema import Fingerprint, digest
from tokenreward_workers.engines.base import EngineInfo
from tokenreward_workers.model_files.resolve import cache_dir

#: Of config.json, at any depth: who wrote it and for which type, not what the model computes.
_NOT_COMPUTED = frozenset({"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"})
_CHUNK = 2**24


def fingerprint(name: str, path: Path | None, chat: ChatFormat, engine: EngineInfo) -> Fingerprint:
    """Make what a worker publishes, and jobs are pinned to.

    Args:
        name: The name of the model that clients ask for.
        path: Its directory; None for an engine without a model (synthetic). It has only the tokenizer where the engine
            answers for the weights (remote).
        chat: Its tokenizer and chat template.
        engine: What scores.
    """
    return Fingerprint(
        model=name,
        model_hash=engine.weights or (model_hash(path) if path else digest({"none": engine.name})),
        tokenizer_hash=chat.hash,
        engine=engine.name,
        engine_version=engine.version,
        dtype=engine.dtype,
        head_dtype=None if engine.head_dtype == engine.dtype else engine.head_dtype,
        chat_template_hash=chat.template_hash,
        head=engine.head,
        training_data_hash=training_data_hash(read_object(path / "config.json"))
        if path and not engine.weights
        else None,
    )


def model_hash(path: Path) -> str:
    """Hash the weights' content and the configuration.

    Weights are read once: their hashes are remembered in the cache directory by path, size and time.

    Returns:
        16 hex digits.
    """
    weights = [_remembered(file) for file in weight_files(path)]
    return digest(
        {
            "weights": {name: found for file in weights for name, found in file.items()},
            "config": _computed(read_object(path / "config.json")),
        }
    )


def _computed(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _computed(value) for key, value in part.items() if key not in _NOT_COMPUTED}
    return [_computed(value) for value in part] if isinstance(part, list) else part


def _remembered(file: Path) -> dict[str, str]:
    """Return the hashes of a file's tensors, from the cache if path, size and time are those of an earlier reading."""
    real = file.resolve()
    stat = real.stat()
    key = digest({"path": str(real), "size": stat.st_size, "mtime": stat.st_mtime_ns})
    known = cache_dir() / "hashes" / f"{key}.json"
    if known.is_file() and (found := _noted(known)):
        return found
    found = _tensors(real, file.name)
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps(found), "utf-8")
    return found


def _noted(note: Path) -> dict[str, str] | None:
    """Return what an earlier reading wrote; None if it was cut off while it did."""
    try:
        content = json.loads(note.read_text("utf-8"))
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _tensors(file: Path, name: str) -> dict[str, str]:
    """Return the hash of each tensor by its name; a file in torch's own format is hashed as a whole."""
    with file.open("rb") as stream:
        if Path(name).suffix != ".safetensors":
            return {name: hashlib.file_digest(stream, "sha256").hexdigest()}
        return {
            tensor: digest(
                {"dtype": at.dtype, "shape": at.shape, "sha256": _bytes_hash(stream, at.start, at.end - at.start)}
            )
            for tensor, at in read_header(file).items()
        }


def _bytes_hash(stream: IO[bytes], start: int, length: int) -> str:
    found = hashlib.sha256()
    stream.seek(start)
    while length > 0 and (read := stream.read(min(_CHUNK, length))):
        found.update(read)
        length -= len(read)
    return found.hexdigest()
