"""Sequences of one request that begin alike: what they share is scored once.

A wire's client sends whole sequences and wants a log-prob of every token, the prompts' included. The log-prob of a
token depends on what stands before it and on nothing else. So where a sequence begins like another one, the rows of
what they share are that one's, and only the rest is scored, behind a prompt that the engine's prefix cache knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

#: A shorter start is not worth another cut, in tokens.
_WORTH_SHARING = 32


@dataclass(frozen=True, slots=True)
class Part:
    """How one sequence is scored.

    Attributes:
        start: The first token that is scored as the sequence's own.
        like: The sequence whose rows are this one's before `start`; None if it takes none from another.
    """

    start: int
    like: int | None = None


def parts(sequences: Sequence[Sequence[int]], starts: Sequence[int]) -> list[Part]:
    """Cut sequences where they begin to differ.

    Args:
        sequences: Token ids.
        starts: For each sequence, the first token whose row is wanted.

    Returns:
        A part for each sequence. A part begins at the sequence's end where another one has all of its rows.
    """
    found = [Part(start) for start in starts]
    # In this order, no sequence before it begins more like a sequence than its predecessor does.
    order = sorted(range(len(sequences)), key=lambda n: list(sequences[n]))
    for before, this in pairwise(order):
        shared = _shared(sequences[before], sequences[this])
        if starts[before] <= starts[this] and shared - starts[this] >= _WORTH_SHARING:
            found[this] = Part(shared, before)
    return found


def scoring_order(found: Sequence[Part]) -> list[int]:
    """Return the numbers of all parts, each behind the one that it takes rows from."""
    done: dict[int, None] = {}
    for number in range(len(found)):
        way = []
        at: int | None = number
        while at is not None and at not in done:
            way.append(at)
            at = found[at].like
        done |= dict.fromkeys(reversed(way))
    return list(done)


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
