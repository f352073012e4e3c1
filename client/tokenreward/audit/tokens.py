"""From character spans to tokens: which tokens of a response are bad, which are good, and which are left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.sets import Span

GOOD, BAD, LEFT_OUT = 0, 1, -1


def judged(offsets: NDArray[np.int64], bad: Sequence[Span], ignore: Sequence[Span]) -> NDArray[np.int8]:
    """Judge every token of a response.

    A token that holds only some bytes of a character covers that character. A token that covers nothing, such as the
    end of turn, is left out, and so is every token that overlaps an ignored span, even if it is bad.

    Args:
        offsets: int `[T, 2]`, the characters that each token covers.
        bad: The spans that are wrong.
        ignore: The spans that nobody judged.

    Returns:
        int8 `[T]`, each GOOD, BAD or LEFT_OUT.
    """
    found = np.where(_overlap(offsets, bad), BAD, GOOD).astype(np.int8)
    found[_overlap(offsets, ignore) | (offsets[:, 0] >= offsets[:, 1])] = LEFT_OUT
    return found


def unseen(offsets: NDArray[np.int64], bad: Sequence[Span]) -> int:
    """Return how many of the spans no token overlaps, because the tokenizer dropped their text."""
    return sum(not _overlap(offsets, [span]).any() for span in bad)


def _overlap(offsets: NDArray[np.int64], spans: Sequence[Span]) -> NDArray[np.bool_]:
    """Return whether each token shares a character with some span."""
    starts, ends = offsets[:, 0], offsets[:, 1]
    found = np.zeros(len(offsets), dtype=bool)
    for start, end in spans:
        # A token without characters (start == end) would pass a bare test of the borders.
        found |= (starts < end) & (ends > start) & (starts < ends)
    return found
