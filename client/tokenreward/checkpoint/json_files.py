"""The small files of a model's folder, and Git LFS pointers that stand in place of any of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenreward.errors import BadInput

_POINTER = b"version https://git-lfs"


def is_lfs_pointer(file: Path) -> bool:
    """Whether a file is the text that Git LFS keeps in place of a large file."""
    with file.open("rb") as stream:
        return stream.read(len(_POINTER)) == _POINTER


def lfs_pointer(file: Path) -> BadInput:
    """What to tell a user who has a pointer in place of a file."""
    return BadInput(f"{file} is a Git LFS pointer and not the file itself: run `git lfs pull` where it was cloned")


def read_object(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        BadInput: It cannot be read, or holds something else.
    """
    try:
        if is_lfs_pointer(file):
            raise lfs_pointer(file)
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        size = file.stat().st_size if file.is_file() else 0
        why = "is empty" if not size and file.is_file() else f"cannot be read ({str(error).splitlines()[0]})"
        raise BadInput(f"{file} {why}") from error
    if not isinstance(content, dict):
        raise BadInput(f"{file} holds no JSON object")
    return content


def check_text(file: Path) -> None:
    """Look whether a file is text that may be a template.

    Raises:
        BadInput: It is empty, no text, or a Git LFS pointer.
    """
    if is_lfs_pointer(file):
        raise lfs_pointer(file)
    try:
        text = file.read_text("utf-8")
    except ValueError as error:
        raise BadInput(f"{file} is no text in UTF-8") from error
    if not text.strip():
        raise BadInput(f"{file} is empty")
