"""What one model says of an item whose other branches another model scores: kept until that one has its turn.

A part is a zip file of arrays (numpy's npz, without pickles): the rows of each branch and the response's ids, or
the reason why there are none.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenreward.protocol.records import Corrupt
from tokenreward.schema import ItemFailure

_IDS, _FAILURE, _BRANCH = "response", "failure", "branch:"


@dataclass(frozen=True, slots=True)
class Part:
    """One item as far as it has been scored.

    Attributes:
        response: int64 `[T]`, the response's ids.
        rows: float32 `[T, width]` by branch: the log-probs, and behind them what else the job wants of each token.
        failure: Why the item gets no rewards.
    """

    response: tuple[int, ...] = ()
    rows: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    failure: ItemFailure | None = None


def pack_part(part: Part) -> bytes:
    """Return a part as bytes."""
    arrays: dict[str, Any] = {_IDS: np.array(part.response, dtype=np.int64)}
    arrays |= {_BRANCH + name: np.asarray(row, dtype=np.float32) for name, row in part.rows.items()}
    if part.failure is not None:
        arrays[_FAILURE] = np.frombuffer(part.failure.model_dump_json().encode(), dtype=np.uint8)
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def unpack_part(data: bytes) -> Part:
    """Read a part.

    Raises:
        Corrupt: It is none.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            failure = ItemFailure.model_validate_json(arrays[_FAILURE].tobytes()) if _FAILURE in arrays else None
            rows = {name.removeprefix(_BRANCH): arrays[name] for name in arrays.files if name.startswith(_BRANCH)}
            return Part(tuple(arrays[_IDS].tolist()), rows, failure)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise Corrupt("what another model said of an item cannot be read") from error
