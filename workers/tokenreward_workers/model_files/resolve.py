"""Which model a name means: the demo model, a directory, or a name on the Hugging Face hub.

Everything that can be known without loading a model is checked here, at once and without torch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tokenreward.checkpoint.folder import check_folder, check_tokenizer
from tokenreward.checkpoint.hub import find_model
from tokenreward_workers.model_files import demo as demo_model

DEMO = "demo"


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


def resolve_tokenizer(name: str = DEMO) -> ModelFiles:
    """Find the files of a model's tokenizer alone. Of a hub model, no weights are fetched.

    Args:
        name: As for `resolve_model`.

    Raises:
        BadInput: There is no such directory, or it has no tokenizer.
    """
    if name == DEMO:
        return resolve_model(name)
    path = find_model(name, [DEMO], weights=False)
    check_tokenizer(path)
    return ModelFiles(path, name)


def resolve_model(name: str = DEMO) -> ModelFiles:
    """Find a model's files. The demo model is converted and a hub model downloaded if that has not been done yet.

    Args:
        name: "demo", a model directory, or `owner/name` on the hub.

    Raises:
        BadInput: The directory is not a whole model's, or the model cannot be had.
    """
    if name == DEMO:
        return ModelFiles(demo_model.ensure(cache_dir()), demo_model.NAME)
    path = find_model(name, [DEMO])
    check_folder(path)
    if Path(name).expanduser().is_dir():
        return ModelFiles(path.resolve(), path.resolve().name)
    return ModelFiles(path, name)
