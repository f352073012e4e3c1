"""Which model a name means: the demo model, a directory, or a name on the Hugging Face hub.

Everything that can be known without loading a model is checked here, at once and without torch.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from tokenreward.errors import BadInput
from tokenreward_workers.model_files import demo as demo_model

DEMO = "demo"

_HUB_NAME = re.compile(r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
_WEIGHTS = ("*.safetensors", "*.bin")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on disk.

    Attributes:
        path: The directory with config.json, weights and tokenizer.
        name: What clients ask for, and what provenance says.
    """

    path: Path
    name: str


def cache_dir() -> Path:
    """Return where converted models and hashes are kept: TOKENREWARD_CACHE, else the XDG cache directory."""
    own = os.environ.get("TOKENREWARD_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "tokenreward"


def resolve_model(name: str = DEMO) -> ModelFiles:
    """Find a model's files. The demo model is converted and a hub model downloaded if that has not been done yet.

    Args:
        name: "demo", a model directory, or `owner/name` on the hub.

    Raises:
        BadInput: The directory is not a model's, or the model cannot be had.
    """
    if name == DEMO:
        return ModelFiles(demo_model.ensure(cache_dir()), demo_model.NAME)
    path = Path(name).expanduser()
    if path.is_dir():
        _check(path)
        return ModelFiles(path.resolve(), path.resolve().name)
    if path.exists():
        raise BadInput(f"model {name!r} is a file; give the directory that holds config.json, weights and tokenizer")
    if not _HUB_NAME.match(name):
        raise BadInput(f"model {name!r}: no such directory (and no hub name, which reads owner/name)")
    return ModelFiles(_from_hub(name), name)


def _check(path: Path) -> None:
    config = path / "config.json"
    if not config.is_file():
        raise BadInput(f"{path} is no model directory: it has no config.json")
    try:
        json.loads(config.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{config} cannot be read: {error}") from error
    if not any(next(path.glob(pattern), None) for pattern in _WEIGHTS):
        raise BadInput(f"{path} has no weights (*.safetensors)")
    if not any((path / file).is_file() for file in _TOKENIZERS):
        raise BadInput(f"{path} has no tokenizer (tokenizer.json)")


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
    except (OSError, ValueError):  # not in the local hub cache
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (OSError, ValueError) as error:
        raise BadInput(f"model {name!r}: no such directory, and the hub does not give it: {error}") from error
