"""Which folder a model's name means: a directory, or a name on the Hugging Face hub of which everything needed is here.

The hub's cache knows a folder as soon as one file of it is there: a script that loaded the tokenizer leaves such a
folder, and so does a download that was interrupted. So a cached folder counts only if the cached listing of the
repository and our own look at the files agree that it is whole. Then nothing is asked of the hub. Otherwise what is
missing is fetched.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from tokenreward.checkpoint.folder import is_adapter
from tokenreward.checkpoint.weight_files import weight_files
from tokenreward.errors import BadInput

_HUB_NAME = re.compile(r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
_SMALL = ("*.json", "*.jinja", "*.model", "*.txt")
#: Not `*.safetensors`: some repositories hold the same weights once more, in their maker's own format.
_WEIGHTS = ("model*.safetensors", "adapter_model.safetensors")
#: Fetched only where there are no safetensors.
_PICKLES = ("pytorch_model*.bin", "adapter_model.bin")


def find_model(name: str, known: Sequence[str] = (), *, weights: bool = True) -> Path:
    """Find a model's folder; of a hub model, what is missing is fetched.

    Args:
        name: A directory, or `owner/name` on the hub.
        known: Names that the caller understands besides, for "did you mean".
        weights: Whether the weights are needed, too.

    Returns:
        The directory as it was named, or the snapshot in the hub's cache.

    Raises:
        BadInput: There is no such model, or it cannot be had.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise BadInput(f"model {name!r} is a file; give the directory that holds config.json, weights and tokenizer")
    if not _HUB_NAME.match(name):
        raise BadInput(
            f"model {name!r}: no such directory (and no hub name, which reads owner/name){did_you_mean(name, known)}"
        )
    return _from_hub(name, did_you_mean(name, known), weights=weights)


def did_you_mean(name: str, known: Sequence[str] = ()) -> str:
    """Return "; did you mean ...?" if a directory beside the one that is named, or a known name, is close; else ""."""
    path = Path(name).expanduser()
    parent = path.parent
    beside = [folder.name for folder in parent.iterdir() if folder.is_dir()] if name and parent.is_dir() else []
    for choices, prefix in ((list(known), None), (beside, parent)):
        folded = {choice.lower(): choice for choice in choices}
        wanted = (name if prefix is None else path.name).lower()
        if close := difflib.get_close_matches(wanted, folded, n=1, cutoff=0.75):
            found = folded[close[0]]
            return f"; did you mean {found if prefix is None else str(prefix / found)!r}?"
    return ""


def _from_hub(name: str, hint: str, *, weights: bool) -> Path:
    import huggingface_hub

    wanted = (*_SMALL, *_WEIGHTS) if weights else _SMALL

    def snapshot(*patterns: str, local: bool) -> Path:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(patterns), local_files_only=local))

    if _listed(name):
        try:
            folder = snapshot(*wanted, local=True)
            if not weights or _has_weights(folder):
                return folder
        except OSError:  # not all of it is in the cache
            pass
    try:
        folder = snapshot(*wanted, local=False)
        return snapshot(*wanted, *_PICKLES, local=False) if weights and not _has_weights(folder) else folder
    except Exception as error:  # the hub's client lets through what its transport raises
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise BadInput(f"model {name!r}: no such directory{hint}, and the hub does not give it: {why}") from error


def _listed(name: str) -> bool:
    """Whether the cache knows which files the repository has; without that, a part of it would pass for the whole."""
    import huggingface_hub

    listing = getattr(huggingface_hub, "get_cached_repo_tree", None)
    if listing is None:  # a version of the client that keeps no listings
        return False
    try:
        return bool(listing(name))
    except huggingface_hub.errors.CachedRepoTreeNotFoundError:
        return False


def _has_weights(folder: Path) -> bool:
    try:
        return is_adapter(folder) or bool(weight_files(folder))
    except BadInput:
        return False
