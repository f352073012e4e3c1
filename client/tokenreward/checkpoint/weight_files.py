"""Which files of a folder hold the model's weights, by the rules of transformers, and whether they are whole."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tokenreward.checkpoint.json_files import is_lfs_pointer, lfs_pointer, read_object
from tokenreward.checkpoint.safetensors_file import read_header
from tokenreward.errors import BadInput

#: (one file, or the index of several), in the order in which they are looked for.
_KINDS = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)


def weight_files(folder: Path) -> list[Path]:
    """Find a model's weights, as transformers finds them: safetensors first, and one file before several.

    Args:
        folder: A model directory.

    Returns:
        The files, in the order of their names; they exist, but may be damaged (see `check_weights`).

    Raises:
        BadInput: There are none, a shard is missing, or two sets of weights lie there.
    """
    for single, index in _KINDS:
        if (folder / index).is_file():
            shards = _shards(folder / index)
            if (folder / single).is_file() and shards != [single]:
                raise BadInput(f"{folder} has both {single} and {index}, two sets of weights: remove one of them")
            missing = [name for name in shards if not (folder / name).is_file()]
            if missing:
                more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                raise BadInput(f"{folder} lacks {missing[0]}{more} of the {len(shards)} files that {index} names")
            return [folder / name for name in shards]
        if (folder / single).is_file():
            return [folder / single]
    raise BadInput(f"{folder} has no weights ({_KINDS[0][0]}){_others(folder)}")


def check_weights(folder: Path) -> list[Path]:
    """Find a model's weights and look whether each file is whole; tensors are not read.

    Returns:
        The files.

    Raises:
        BadInput: See `weight_files`; or a file is cut off, damaged or a Git LFS pointer, or a tensor is there twice.
    """
    files = weight_files(folder)
    seen: dict[str, Path] = {}
    for file in files:
        if is_lfs_pointer(file):
            raise lfs_pointer(file)
        if file.suffix != ".safetensors":
            _check_pickle(file)
            continue
        for name in read_header(file):
            if name in seen:
                raise BadInput(f"{folder}: {name} is both in {seen[name].name} and in {file.name}")
            seen[name] = file
    return files


def refuse_strays(folder: Path) -> None:
    """Refuse safetensors beside a model's own, for vLLM: in a folder without an index it reads each such file.

    Raises:
        BadInput: There are some.
    """
    used = weight_files(folder)
    strays = sorted(set(folder.glob("*.safetensors")) - set(used))
    if strays and not (folder / _KINDS[0][1]).is_file():
        raise BadInput(
            f"{folder} has {strays[0].name} beside {used[0].name}, and vLLM would read both: move it away, or take "
            "engine transformers"
        )


def _shards(index: Path) -> list[str]:
    names = read_object(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise BadInput(f"{index} has no weight_map, so it does not say which files hold the weights")
    shards = sorted(set(names.values()))
    outside = next((name for name in shards if name != Path(name).name), None)
    if outside is not None:
        raise BadInput(f"{index} names the file {outside!r}, which is not beside it")
    return shards


def _others(folder: Path) -> str:
    """What lies there instead, for the message."""
    patterns = ("*.safetensors", "*.bin", "*.gguf", "*.pth", "*.pt", "*.h5", "*.msgpack")
    found = sorted(file.name for pattern in patterns for file in folder.glob(pattern))
    return f"; {found[0]} is not what transformers calls a model's weights" if found else ""


def _check_pickle(file: Path) -> None:
    """Look whether a .bin file is what torch writes: a zip archive, or a bare pickle by torch before 1.6."""
    with file.open("rb") as stream:
        beginning = stream.read(2)
    if beginning == b"PK":
        try:
            with zipfile.ZipFile(file):
                return
        except zipfile.BadZipFile as error:
            raise BadInput(f"{file} is cut off or damaged: it is a zip archive without its end") from error
    if beginning[:1] != b"\x80":
        raise BadInput(f"{file} is no file of weights ({file.stat().st_size} bytes); download it again")
