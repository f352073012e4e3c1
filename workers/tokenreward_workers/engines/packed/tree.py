"""Sequences packed so that what they have in common is there once.

Many sequences to score begin alike: the branches of one item, the responses to one prompt. Sorted, each shares
its beginning with the one before it. Only the tokens after that (its *run*) are packed, and their attention looks
back along the run's *path*: the stretches of the pack that spell the sequence.

    pack: [ question answer better-directive response | worse-directive response | ... ]
            run 0 ------------------------------------  run 1, path = (question answer) + run 1

There is no padding, and every token is exactly where a plain pass would have it: same position, same context. What
different adapters read has nothing in common, and lies in one stretch of the pack for each adapter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenreward_workers.engines.base import Key
from tokenreward_workers.scoring import Adapter, Scoring, adapter_order
from tokenreward_workers.wanted import NOTHING, Wanted

#: Sharing fewer tokens than this costs more in separate attention calls than it saves.
_WORTH_SHARING = 16

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    """New tokens of one sequence: pack[start:end).

    Attributes:
        start: The first token in the pack.
        end: One past the last token.
        path: Stretches [start, end) of the pack that spell the sequence up to and including the run itself.
        shared: How many tokens of the path come before the run.
    """

    start: int
    end: int
    path: tuple[tuple[int, int], ...]
    shared: int

    @property
    def length(self) -> int:
        """Tokens of the path: the keys that the run's last token sees."""
        return self.shared + self.end - self.start


@dataclass(frozen=True, slots=True)
class Asked:
    """What one branch of one scoring asks for.

    Attributes:
        key: Of the scoring.
        branch: Name of the branch.
        rows: int64 `[T]`, the tokens of the pack after which the targets are predicted.
        targets: int64 `[T]`, the response.
        wanted: What is wanted of these rows beside the targets' log-probs.
    """

    key: Key
    branch: str
    rows: Integers
    targets: Integers
    wanted: Wanted = NOTHING


@dataclass(frozen=True, slots=True)
class Stretch:
    """The tokens pack[start:end), which are read with an adapter."""

    adapter: Adapter
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Pack:
    """The tokens of one pass.

    Attributes:
        ids: int64 `[N]`.
        positions: int64 `[N]`, where each token stands in its sequence.
        runs: They cover the pack in its order, without a gap.
        asked: One for each branch of every scoring.
        read: Tokens of the sequences in full, so that `read - N` is what sharing saves.
        stretches: One for each adapter, in order. The model itself reads what is in none of them.
    """

    ids: Integers
    positions: Integers
    runs: tuple[Run, ...]
    asked: tuple[Asked, ...]
    read: int
    stretches: tuple[Stretch, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sequence:
    adapter: Adapter | None
    ids: tuple[int, ...]
    key: Key
    branch: str
    response: tuple[int, ...]
    wanted: Wanted


def pack(work: Iterable[tuple[Key, Scoring]]) -> Pack:
    """Pack scorings. The last token of a response is not read, because nothing after it is asked for."""
    sequences = [
        _Sequence(s.adapters.get(branch), (*s.prefix, *rest, *s.response[:-1]), key, branch, s.response, s.wanted)
        for key, s in work
        for branch, rest in s.branches.items()
    ]
    sequences.sort(key=lambda sequence: (adapter_order(sequence.adapter), sequence.ids))
    ids: list[Integers] = []
    positions: list[Integers] = []
    runs: list[Run] = []
    asked: list[Asked] = []
    bounds: dict[Adapter, tuple[int, int]] = {}
    before: tuple[int, ...] = ()
    path: tuple[tuple[int, int], ...] = ()
    start = 0
    for sequence in sequences:
        if sequence.adapter is not None and sequence.adapter not in bounds:
            bounds[sequence.adapter] = (start, start)
            before = ()
        length = len(sequence.ids)
        shared = common(before, sequence.ids)
        if shared < _WORTH_SHARING:
            shared = 0
        path = _first(path, shared)
        if shared < length:
            end = start + length - shared
            ids.append(np.array(sequence.ids[shared:], dtype=np.int64))
            positions.append(np.arange(shared, length))
            path = (*path, (start, end))
            runs.append(Run(start, end, _joined(path), shared))
            start = end
            if sequence.adapter is not None:
                bounds[sequence.adapter] = (bounds[sequence.adapter][0], end)
        targets = np.array(sequence.response, dtype=np.int64)
        asked.append(Asked(sequence.key, sequence.branch, _last(path, len(targets)), targets, sequence.wanted))
        before = sequence.ids
    read = sum(len(sequence.ids) for sequence in sequences)
    stretches = tuple(Stretch(adapter, *ends) for adapter, ends in bounds.items())
    return Pack(np.concatenate(ids), np.concatenate(positions), tuple(runs), tuple(asked), read, stretches)


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # halving: slices compare at C speed
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def indices(stretches: Sequence[tuple[int, int]]) -> Integers:
    """Every index of the stretches [start, end), in their order: int64 `[sum of their lengths]`."""
    starts, ends = np.array(stretches, dtype=np.int64).reshape(-1, 2).T
    lengths = ends - starts
    offsets = np.cumsum(lengths) - lengths
    found: Integers = np.repeat(starts - offsets, lengths) + np.arange(int(lengths.sum()))
    return found


def _first(path: tuple[tuple[int, int], ...], length: int) -> tuple[tuple[int, int], ...]:
    """The stretches that hold the first `length` tokens of `path`."""
    kept = []
    for start, end in path:
        if length <= 0:
            break
        kept.append((start, min(end, start + length)))
        length -= end - start
    return tuple(kept)


def _last(path: tuple[tuple[int, int], ...], length: int) -> Integers:
    """The indices of the last `length` tokens of `path`."""
    kept: list[tuple[int, int]] = []
    for start, end in reversed(path):
        if length <= 0:
            break
        kept.append((max(start, end - length), end))
        length -= end - start
    return indices(kept[::-1])


def _joined(path: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """The same tokens in as few stretches as can be."""
    joined: list[tuple[int, int]] = []
    for start, end in path:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)
