"""What can be said of a model's folder without torch: whether it holds one whole model and nothing that is applied to
it.

transformers attaches an adapter that lies beside full weights if peft is installed, and ignores it if not; it reads
some damaged files as if they were not there. So all of that is looked at here first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenreward.checkpoint.json_files import check_text, is_lfs_pointer, lfs_pointer, read_object
from tokenreward.checkpoint.weight_files import check_weights
from tokenreward.errors import BadInput

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
_JSON_FILES = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json"),
)
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_PLAIN_FILES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "merges.txt", "vocab.txt")


def check_folder(folder: Path, *, tokenizer: bool = True) -> dict[str, Any]:
    """Look through a model's folder.

    Args:
        folder: An existing directory.
        tokenizer: Whether the model's tokenizer has to be there, too.

    Returns:
        The content of config.json.

    Raises:
        BadInput: It is an adapter, has one beside its weights, or lacks a file, or a file is damaged.
    """
    refuse_adapter(folder)
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder} is no model directory: it has no config.json")
    config = read_object(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise BadInput(f"{folder / 'config.json'} has no model_type, so it does not say what kind of model this is")
    check_weights(folder)
    if tokenizer:
        check_tokenizer(folder)
    for name in _JSON_FILES:
        if (folder / name).is_file():
            read_object(folder / name)
    return config


def refuse_adapter(folder: Path) -> None:
    """Refuse an adapter in place of a model, or beside one.

    Raises:
        BadInput: There are files of an adapter.
    """
    found = [name for name in ADAPTER_FILES if (folder / name).is_file()]
    if not found:
        return
    if has_weights(folder):
        raise BadInput(
            f"{folder} has {found[0]} beside full weights: remove one, because an adapter that was merged into the "
            "weights would be applied once more"
        )
    raise BadInput(f"{folder} is an adapter and no whole model; merge it first: tokenreward merge {folder} --out DIR")


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter by itself."""
    return (folder / ADAPTER_FILES[0]).is_file() and not has_weights(folder)


def has_weights(folder: Path) -> bool:
    """Whether there are files of full weights, whole or not."""
    patterns = ("model*.safetensors*", "pytorch_model*.bin*")
    return any(True for pattern in patterns for _ in folder.glob(pattern))


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder whose tokenizer is missing or damaged.

    Raises:
        BadInput: See there.
    """
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise BadInput(f"{folder} has no tokenizer (tokenizer.json)")
    for name in _PLAIN_FILES:
        if (file := folder / name).is_file():
            if is_lfs_pointer(file):
                raise lfs_pointer(file)
            if not file.stat().st_size:
                raise BadInput(f"{file} is empty")
    templates = [folder / "chat_template.jinja", *sorted((folder / "additional_chat_templates").glob("*.jinja"))]
    for template in templates:
        if template.is_file():
            check_text(template)
    whole = folder / "tokenizer.json"
    if whole.is_file() and not isinstance(read_object(whole).get("model"), dict):
        raise BadInput(f"{whole} is no tokenizer: it has no model")
    about = folder / "tokenizer_config.json"
    if about.is_file():
        _check_about(about, read_object(about))
    elif templates[0].is_file():
        raise BadInput(
            f"{folder} has a chat template, but no {about.name}, which says the special tokens that it writes"
        )


def _check_about(file: Path, content: Mapping[str, Any]) -> None:
    """Refuse the content of another file under this name: transformers reads any object, and finds no roles in it."""
    foreign = [key for key in ("weight_map", "model_type", "eos_token_id", "added_tokens") if key in content]
    own = "tokenizer_class" in content or any(key.endswith("_token") for key in content)
    if foreign and not own:
        raise BadInput(f"{file} is another file's content: it has {foreign[0]}, and nothing of a tokenizer")
