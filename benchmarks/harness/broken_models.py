"""Every way in which a model's folder is broken: each file missing, empty, cut, swapped or a pointer, each key changed.

`damages` makes one broken copy after the other of a folder that is whole, and `outcome` says what became of loading it:
a refusal in one line, or that it was served. Anything else is a fault of ours.
"""

from __future__ import annotations

import itertools
import json
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.errors import BadInput

#: Files that a model need not have: nobody can know that they were there.
OPTIONAL = frozenset({"generation_config.json", "chat_template.jinja"})
_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


@dataclass(frozen=True, slots=True)
class Damage:
    """One broken folder.

    Attributes:
        what: What is wrong with it.
        refused: Whether it has to be refused; else it may be served.
    """

    what: str
    refused: bool


def damages(whole: Path, broken: Path) -> Iterator[Damage]:
    """Break a copy of a model's folder in every way, one after the other.

    Args:
        whole: A model directory with one file of safetensors.
        broken: The folder that is broken, anew for each yield; what is in it is removed.

    Yields:
        What is wrong with `broken` now.
    """
    names = sorted(file.name for file in whole.iterdir() if file.is_file())
    for name in names:
        for what, content in (("missing", None), ("empty", b""), ("a pointer", _POINTER), ("cut", _half(whole / name))):
            _fresh(whole, broken)
            _write(broken / name, content)
            yield Damage(f"{name} is {what}", refused=name not in OPTIONAL or what in ("empty", "a pointer"))
    for one, other in itertools.combinations(names, 2):
        _fresh(whole, broken)
        (broken / one).write_bytes((whole / other).read_bytes())
        (broken / other).write_bytes((whole / one).read_bytes())
        yield Damage(f"{one} and {other} are swapped", refused=True)
    tensors = _read(whole / "model.safetensors")
    for name, (entry, content) in tensors.items():
        others = {key: value for key, value in tensors.items() if key != name}
        reshaped = entry | {"shape": [1, *entry["shape"]]}
        for what, changed in (
            ("missing", others),
            ("renamed", others | {f"{name}.other": (entry, content)}),
            ("reshaped", others | {name: (reshaped, content)}),
        ):
            _fresh(whole, broken)
            _save(broken / "model.safetensors", changed)
            yield Damage(f"{name} is {what}", refused=True)


def outcome(load: Callable[[Path], Any], folder: Path) -> str:
    """Load a folder.

    Returns:
        "served", or the refusal.

    Raises:
        AssertionError: The refusal is not one line that names the folder, or something else than a refusal was raised.
    """
    try:
        load(folder)
    except BadInput as error:
        line = str(error)
        assert "\n" not in line, f"not one line: {line}"
        assert str(folder) in line or folder.name in line, f"the folder is not named: {line}"
        return line
    except Exception as error:
        raise AssertionError(f"a traceback: {type(error).__name__}: {error}") from error
    return "served"


def _fresh(whole: Path, broken: Path) -> None:
    shutil.rmtree(broken, ignore_errors=True)
    shutil.copytree(whole, broken)


def _half(file: Path) -> bytes:
    content = file.read_bytes()
    return content[: len(content) // 2]


def _write(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)


def _read(file: Path) -> dict[str, tuple[dict[str, Any], bytes]]:
    """The tensors of a safetensors file: what its header says of each, and its bytes."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    start = 8 + length
    return {
        name: (entry, content[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _save(file: Path, tensors: dict[str, tuple[dict[str, Any], bytes]]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (entry, content) in tensors.items():
        header[name] = entry | {"data_offsets": [at, at + len(content)]}
        at += len(content)
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    body = b"".join(content for _, content in tensors.values())
    file.write_bytes(struct.pack("<Q", len(encoded)) + encoded + body)
