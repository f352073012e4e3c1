"""Sequences packed so that what they have in common is there once.

Many sequences to score begin alike: the branches of one item, the responses to one prompt. Sorted, each shares
its beginning with the one before it; only what follows that (its *run*) is packed, and its attention looks
back along its *path*: the stretches of the pack that spell its beginning.

    pack: [ question answer better-directive response | worse-directive response | ... ]
            run 0 ------------------------------------  run 1, path = (question answer) + run 1

No padding anywhere, and every token is exactly where a plain pass would have it: same position, same context.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenreward_workers.scoring import Scoring

#: Sharing fewer tokens than this costs more in separate attention calls than it saves.
_WORTH_SHARING = 16


@dataclass(frozen=True, slots=True)
class Run:
    """New tokens of one sequence: pack[start:end).

    path: stretches [start, end) of the pack that spell the sequence up to and including the run itself.
    shared: how many tokens of the path come before the run.
    """

    start: int
    end: int
    path: tuple[tuple[int, int], ...]
    shared: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Log-probs of one branch of one scoring: of `targets` [T], predicted at `rows` [T] of the pack."""

    work: int
    branch: str
    rows: NDArray[np.int64]
    targets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pack:
    """ids, positions: int64 [N]; runs cover the pack without a gap; one `Wanted` per branch of every scoring."""

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    runs: tuple[Run, ...]
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class _Sequence:
    ids: tuple[int, ...]
    work: int
    branch: str
    response: tuple[int, ...]


def packs(work: Sequence[Scoring], budget: int) -> Iterator[list[int]]:
    """Groups of indices of `work`, those with a common beginning together, of about `budget` tokens when packed."""
    order = sorted(range(len(work)), key=lambda index: (work[index].prefix, min(work[index].branches.values())))
    group: list[int] = []
    size = 0
    before: tuple[int, ...] = ()
    for index in order:
        scoring = work[index]
        cost = _cost(scoring) - _common(before, scoring.prefix)
        if group and size + cost > budget:
            yield group
            group, size, cost = [], 0, _cost(scoring)
        group.append(index)
        size += cost
        before = scoring.prefix
    if group:
        yield group


def pack(work: Sequence[Scoring], indices: Sequence[int]) -> Pack:
    """The scorings `indices` of `work`, packed."""
    sequences = sorted(
        (
            # The last token predicts nothing that is asked for.
            _Sequence((*s.prefix, *rest, *s.response[:-1]), index, branch, s.response)
            for index in indices
            for s in (work[index],)
            for branch, rest in s.branches.items()
        ),
        key=lambda sequence: sequence.ids,
    )
    ids: list[int] = []
    positions: list[int] = []
    runs: list[Run] = []
    wanted: list[Wanted] = []
    before: tuple[int, ...] = ()
    path: tuple[tuple[int, int], ...] = ()
    for sequence in sequences:
        shared = _common(before, sequence.ids)
        if shared < _WORTH_SHARING:
            shared = 0
        path = _first(path, shared)
        if shared < len(sequence.ids):
            start, end = len(ids), len(ids) + len(sequence.ids) - shared
            ids += sequence.ids[shared:]
            positions += range(shared, len(sequence.ids))
            path = (*path, (start, end))
            runs.append(Run(start, end, _joined(path), shared))
        where = np.concatenate([np.arange(start, end) for start, end in path])
        targets = np.array(sequence.response, dtype=np.int64)
        wanted.append(Wanted(sequence.work, sequence.branch, where[len(where) - len(targets) :], targets))
        before = sequence.ids
    return Pack(np.array(ids, dtype=np.int64), np.array(positions, dtype=np.int64), tuple(runs), tuple(wanted))


def _cost(scoring: Scoring) -> int:
    """Tokens of one scoring, its shared prefix once."""
    return len(scoring.prefix) + sum(len(rest) + len(scoring.response) - 1 for rest in scoring.branches.values())


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # halving: slices compare at C speed
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _first(path: tuple[tuple[int, int], ...], length: int) -> tuple[tuple[int, int], ...]:
    """The stretches that hold the first `length` tokens of `path`."""
    kept = []
    for start, end in path:
        if length <= 0:
            break
        kept.append((start, min(end, start + length)))
        length -= end - start
    return tuple(kept)


def _joined(path: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """The same tokens in as few stretches as can be."""
    joined: list[tuple[int, int]] = []
    for start, end in path:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)
