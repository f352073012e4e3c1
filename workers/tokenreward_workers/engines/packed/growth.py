"""How many tokens a pass has as scorings join it, each beginning counted once however many of them have it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict

from tokenreward_workers.engines.packed.tree import common
from tokenreward_workers.scoring import Adapter, Scoring

#: Tokens, and the adapter that reads them.
_Sequence = tuple[Adapter | None, tuple[int, ...]]


class Growth:
    """The sequences of one pass.

    Attributes:
        size: Its tokens, once packed.
    """

    def __init__(self, first: Scoring) -> None:
        """Start a pass.

        Args:
            first: Its first scoring, however long it is.
        """
        self._sequences: defaultdict[Adapter | None, list[tuple[int, ...]]] = defaultdict(list)
        self.size = 0
        own, added, _ = self._added(first)
        self._join(own, added)

    def takes(self, scoring: Scoring, budget: int) -> bool:
        """Add a scoring, if the pass has room for it.

        A pass may have more than its budget, up to twice as much, for a scoring of which it has at least half already:
        what both have in common would have to be read again in the next pass.

        Args:
            scoring: What may join.
            budget: Tokens of a pass.

        Returns:
            Whether it has joined.
        """
        own, added, alone = self._added(scoring)
        if self.size + added > (2 * budget if 2 * added <= alone else budget):
            return False
        self._join(own, added)
        return True

    def _added(self, scoring: Scoring) -> tuple[list[_Sequence], int, int]:
        """Return a scoring's sequences, how many tokens they add, and how many they are in a pass of their own."""
        own: list[_Sequence] = []
        added = alone = 0
        for adapter, branches in scoring.by_adapter.items():
            before: tuple[int, ...] = ()
            there = self._sequences[adapter]
            for ids in sorted((*scoring.prefix, *rest, *scoring.response[:-1]) for rest in branches.values()):
                shared = common(before, ids)
                alone += len(ids) - shared
                at = bisect_left(there, ids)
                for neighbour in there[max(at - 1, 0) : at + 1]:
                    shared = max(shared, common(neighbour, ids))
                added += len(ids) - shared
                before = ids
                own.append((adapter, ids))
        return own, added, alone

    def _join(self, own: list[_Sequence], added: int) -> None:
        for adapter, ids in own:
            insort(self._sequences[adapter], ids)
        self.size += added
