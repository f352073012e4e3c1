"""What the layers of one pass share: the pack, and what kernels worked out from it at the first layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from tokenreward_workers.engines.packed.tree import Integers, Pack, indices


@dataclass(frozen=True, slots=True)
class Call:
    """What one layer asks of attention; see `attention.tree_attention`.

    Attributes:
        query: `[1, H, N, D]`.
        key: `[1, K, N, D]`.
        value: `[1, K, N, D]`.
        scale: Of the scores.
        window: How many tokens a token sees, itself included; None: all.
        softcap: The bound of the scores, if any.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    scale: float
    window: int | None
    softcap: float | None

    @property
    def groups(self) -> int:
        """Query heads for each key head."""
        return self.query.shape[1] // self.key.shape[1]


@dataclass(frozen=True, slots=True)
class Launch:
    """Consecutive runs that one call of a variable-length kernel attends for.

    Attributes:
        start: Their first token in the pack.
        end: One past their last token.
        gather: int64 `[L]`, the tokens of their paths, one path after the other; None: the tokens start to end.
        query_bounds: int32 `[R + 1]`, where each run begins among the queries.
        key_bounds: int32 `[R + 1]`, where each path begins among the keys.
        longest_query: Tokens of the longest run.
        longest_key: Tokens of the longest path.
    """

    start: int
    end: int
    gather: torch.Tensor | None
    query_bounds: torch.Tensor
    key_bounds: torch.Tensor
    longest_query: int
    longest_key: int


@dataclass(slots=True)
class Layout:
    """The pass under way.

    Attributes:
        pack: Its tokens.
        alive: Called as each layer begins to attend, and between the pieces of a layer that is read in pieces; a long
            pass has no other sign of life.
        layers: How many layers attended so far.
        masks: (window, dtype) -> the one mask that all blocks of rows cut theirs from; see `kernels.masked`.
        launches: Of the variable-length kernel; none before its first call.
        offset: The first token of the piece that an MLP reads at the moment, see `mlp`.
    """

    pack: Pack
    alive: Callable[[], object]
    layers: int = 0
    masks: dict[tuple[int | None, torch.dtype], torch.Tensor] = field(default_factory=dict)
    launches: list[Launch] = field(default_factory=list)
    offset: int = 0


def launches(pack: Pack, most_keys: int, device: torch.device) -> list[Launch]:
    """Split the runs of a pack into calls that gather about `most_keys` keys each: one call, unless paths are long.

    A single path may be longer than `most_keys`.
    """
    starts = np.array([run.start for run in pack.runs], dtype=np.int64)
    ends = np.array([run.end for run in pack.runs], dtype=np.int64)
    lengths = np.array([run.length for run in pack.runs], dtype=np.int64)
    made = []
    first = 0
    before = np.cumsum(lengths) - lengths
    while first < len(starts):
        last = max(first + 1, int(np.searchsorted(before + lengths, before[first] + most_keys, side="right")))
        group = slice(first, last)
        plain = not any(run.shared for run in pack.runs[group])
        path = [stretch for run in pack.runs[group] for stretch in run.path]
        made.append(
            Launch(
                int(starts[first]),
                int(ends[last - 1]),
                None if plain else on_device(indices(path), device),
                on_device(_bounds(ends[group] - starts[group]), device),
                on_device(_bounds(lengths[group]), device),
                int((ends[group] - starts[group]).max()),
                int(lengths[group].max()),
            )
        )
        first = last
    return made


def on_device(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], device: torch.device) -> torch.Tensor:
    """Copy to the device; through pinned memory to a GPU, so that the copy waits for nothing."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _bounds(lengths: Integers) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    bounds = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=bounds[1:])
    return bounds
