"""The header of a safetensors file, read without the library, so that a damaged file gets a sentence of its own.

The format is eight bytes with the header's length, the header (JSON), and the tensors' bytes without gaps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.errors import BadInput

#: The library refuses longer headers, too.
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies.

    Attributes:
        dtype: In the format's words, such as F32 or BF16.
        shape: Its dimensions.
        start: Its first byte in the file.
        end: One past its last byte.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(file: Path) -> dict[str, Tensor]:
    """Read which tensors a file holds, and check that all of their bytes are there.

    Raises:
        BadInput: It is no safetensors file, or it is not whole.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= _LONGEST_HEADER:
            raise BadInput(f"{file} is no safetensors file ({size} bytes); download it again")
        header = stream.read(length)
    if len(header) < length:
        raise BadInput(f"{file} is cut off: {size} bytes, and its header alone has {length + 8}; download it again")
    try:
        content = json.loads(header)
        found = {name: _tensor(entry, 8 + length) for name, entry in content.items() if name != "__metadata__"}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadInput(f"{file} is no safetensors file: its header cannot be read; download it again") from error
    end = max((tensor.end for tensor in found.values()), default=8 + length)
    if end > size:
        raise BadInput(f"{file} is cut off: it has {size} bytes of {end}; download it again")
    if end < size:
        raise BadInput(f"{file} has {size} bytes, and its header speaks of {end}: it is damaged; download it again")
    return found


def _tensor(entry: dict[str, Any], base: int) -> Tensor:
    start, end = entry["data_offsets"]
    if not 0 <= start <= end:
        raise ValueError(entry)
    return Tensor(str(entry["dtype"]), tuple(int(n) for n in entry["shape"]), base + int(start), base + int(end))
