"""The scorings that the engine has taken and not yet scored, and which of them go into the next pass.

A pass is cheap where its scorings begin alike, so the engine looks further ahead than one pass. No scoring is
overtaken for ever: each pass is built around the oldest one, and it alone decides which family comes next.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tokenreward_workers.engines.base import Feed, Key
from tokenreward_workers.engines.packed.growth import Growth
from tokenreward_workers.engines.packed.tree import common
from tokenreward_workers.scoring import Scoring, adapter_order

#: How many passes' worth of tokens the window holds.
PASSES = 4


@dataclass(frozen=True, slots=True, order=True)
class _Held:
    """One scoring of the window. Its order is that of its adapters and tokens, so that neighbours begin alike."""

    adapters: tuple[str, ...]
    beginning: tuple[int, ...]
    age: int


class Window:
    """Scorings in the order of their tokens, filled from a feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._sorted: list[_Held] = []
        self._work: dict[int, tuple[Key, Scoring]] = {}  # by age, the oldest first
        self._ages: dict[Key, int] = {}
        self._next_age = 0
        self._cost = 0
        self._ended = False

    def __len__(self) -> int:
        return len(self._work)

    def fill(self, budget: int) -> None:
        """Take more work while there is room for it.

        Args:
            budget: Tokens of a pass; the window holds about `PASSES` of them.
        """
        while not self._ended and (room := PASSES * budget - self._cost) > 0:
            taken = self._feed.take(room, wait=not self._work)
            if taken is None:
                self._ended = True
            elif taken:
                self._add(taken)
            elif self._work:
                return

    def next_pass(self, budget: int) -> list[tuple[Key, Scoring]]:
        """Take out the scorings of the next pass: the oldest one and those that begin most like it.

        Args:
            budget: Tokens that the pass may have once packed. A single scoring may have more, and so may scorings
                that have most of their tokens in common, see `Growth`.

        Returns:
            The scorings in the order of their tokens; none if the window is empty.
        """
        if not self._work:
            return []
        oldest = next(iter(self._work))
        at = bisect_left(self._sorted, _held(oldest, self._work[oldest][1]))
        first, last = at, at + 1
        growth = Growth(self._work[oldest][1])
        # The neighbour that begins more like the pass is asked first; the one behind it where both do alike.
        while True:
            around = [(self._shared(last, last - 1), last), (self._shared(first - 1, first), first - 1)]
            near = sorted((one for one in around if one[0] >= 0), key=lambda one: -one[0])
            joined = next((at for _, at in near if growth.takes(self._at(at), budget)), None)
            if joined is None:
                break
            first, last = min(first, joined), max(last, joined + 1)
        chosen = [held.age for held in self._sorted[first:last]]
        return [self._remove(age) for age in chosen]

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget the scorings of `keys`, as far as they are still here."""
        for key in keys:
            if (age := self._ages.get(key)) is not None:
                self._remove(age)

    def _at(self, place: int) -> Scoring:
        return self._work[self._sorted[place].age][1]

    def _shared(self, candidate: int, beside: int) -> int:
        """Tokens that two neighbours have in common at their beginning; -1 if there is no such candidate."""
        if not 0 <= candidate < len(self._sorted):
            return -1
        if self._sorted[candidate].adapters != self._sorted[beside].adapters:
            return 0
        return common(self._at(candidate).prefix, self._at(beside).prefix)

    def _add(self, taken: Collection[tuple[Key, Scoring]]) -> None:
        for key, scoring in taken:
            age = self._next_age
            self._next_age += 1
            self._work[age] = (key, scoring)
            self._ages[key] = age
            self._cost += cost(scoring)
            insort(self._sorted, _held(age, scoring))

    def _remove(self, age: int) -> tuple[Key, Scoring]:
        key, scoring = self._work.pop(age)
        del self._ages[key]
        self._cost -= cost(scoring)
        del self._sorted[bisect_left(self._sorted, _held(age, scoring))]
        return key, scoring


def cost(scoring: Scoring) -> int:
    """Tokens of one scoring once packed: its prefix once per adapter, and no last token, which predicts nothing."""
    prefixes = len(scoring.by_adapter) * len(scoring.prefix)
    return prefixes + sum(len(rest) + len(scoring.response) - 1 for rest in scoring.branches.values())


def _held(age: int, scoring: Scoring) -> _Held:
    adapters = tuple(adapter_order(adapter) for adapter in scoring.by_adapter)
    return _Held(adapters, (*scoring.prefix, *min(scoring.branches.values())), age)


def parts(group: Sequence[tuple[Key, Scoring]], budget: int) -> Iterator[Sequence[tuple[Key, Scoring]]]:
    """Split a group into passes: one, but a scoring of more than two passes' tokens is read a few branches at a time.

    Args:
        group: From `Window.next_pass`.
        budget: Tokens of a pass.

    Yields:
        The group, or its only scoring with some of its branches.
    """
    if len(group) > 1 or cost(group[0][1]) <= 2 * budget:
        yield group
        return
    key, whole = group[0]
    branches: dict[str, tuple[int, ...]] = {}
    for branch, rest in whole.branches.items():
        if branches and cost(replace(whole, branches={**branches, branch: rest})) > 2 * budget:
            yield [(key, replace(whole, branches=branches))]
            branches = {}
        branches[branch] = rest
    yield [(key, replace(whole, branches=branches))]
