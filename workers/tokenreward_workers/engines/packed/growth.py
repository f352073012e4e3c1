"""How many tokens a pass has as scorings join it, each beginning counted once however many of them have it."""

from __future__ import annotations

from bisect import bisect_left, insort

from tokenreward_workers.engines.packed.tree import common
from tokenreward_workers.scoring import Scoring


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
        self._sequences: list[tuple[int, ...]] = []
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

    def _added(self, scoring: Scoring) -> tuple[list[tuple[int, ...]], int, int]:
        """Return a scoring's sequences, how many tokens they add, and how many they are in a pass of their own."""
        own = sorted((*scoring.prefix, *rest, *scoring.response[:-1]) for rest in scoring.branches.values())
        added = alone = 0
        before: tuple[int, ...] = ()
        for ids in own:
            shared = common(before, ids)
            alone += len(ids) - shared
            at = bisect_left(self._sequences, ids)
            for neighbour in self._sequences[max(at - 1, 0) : at + 1]:
                shared = max(shared, common(neighbour, ids))
            added += len(ids) - shared
            before = ids
        return own, added, alone

    def _join(self, own: list[tuple[int, ...]], added: int) -> None:
        for ids in own:
            insort(self._sequences, ids)
        self.size += added
