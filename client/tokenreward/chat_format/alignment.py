"""Where a text stands in what a chat template made of it: by all that is not blank.

A template may trim a text, or put blanks into it, but whatever is not blank it writes in order and in one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Spans = Sequence[tuple[int, int]]


def squeezed(text: str) -> str:
    """A text without blanks."""
    return "".join(text.split())


def aligned(spans: Spans, said: str, own: str, place: int) -> list[tuple[int, int]]:
    """Spans of what a template made of a text, as spans of the text.

    Args:
        spans: `[start, end)` in `said`.
        said: What the template made of it.
        own: The text.
        place: How many characters that are not blank stand in `said` before the first such one of `own`. Below zero,
            that many of `own` are not there.

    Returns:
        `[start, end)` in `own` of each. What the template added has an empty span, and what it left out is in none.
    """
    places = _places(said, own, place)
    starts = [0] * (len(said) + 1)  # where in `own` the next character of `said` stands that is there too
    starts[-1] = len(own)
    for n in range(len(said) - 1, -1, -1):
        starts[n] = places[n] if places[n] >= 0 else starts[n + 1]
    found = []
    for start, end in spans:
        inside = [places[n] for n in range(start, end) if places[n] >= 0]
        found.append((inside[0], inside[-1] + 1) if inside else (starts[start], starts[start]))
    return found


def _places(said: str, own: str, place: int) -> list[int]:
    """For each character of `said` its index in `own`, or -1."""
    places = [-1] * len(said)
    there = [n for n, character in enumerate(said) if not character.isspace()]
    mine = [n for n, character in enumerate(own) if not character.isspace()]
    pairs = list(zip(there[max(place, 0) :], mine[max(-place, 0) :], strict=False))
    for here, origin in pairs:
        places[here] = origin
    # Blanks between two neighbours are the text's own as far as both have the same ones.
    edges = [(-1, -1), *pairs, (len(said), len(own))]
    for (left, from_), (right, to) in pairwise(edges):
        forward = left >= 0
        gap = min(right - left, to - from_) - 1
        for step in range(1, gap + 1):
            here, origin = (left + step, from_ + step) if forward else (right - step, to - step)
            if said[here] != own[origin]:
                break
            places[here] = origin
    return places
