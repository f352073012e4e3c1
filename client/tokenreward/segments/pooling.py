"""From a value per token to a value per segment, and back to the tokens of each segment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenreward.segments.boundaries import Span

_HOW: Mapping[str, Callable[[NDArray[Any]], Any]] = {"mean": np.mean, "min": np.min, "sum": np.sum}


def tokens_by_segment(offsets: Sequence[Span], segments: Sequence[Span], text: str) -> list[list[int]]:
    """Return the tokens of each segment.

    A token belongs to the segment of its first character that is not blank, so a token is never in two segments, and a
    token that holds only a part of a character goes where that character is. A token that covers nothing (the end of
    the turn), or only characters between segments, belongs to none.

    Args:
        offsets: The characters `[start, end)` of each token.
        segments: In order, without overlap.
        text: What both refer to.

    Returns:
        The indices of its tokens, for each segment.
    """
    starts = [start for start, _ in segments]
    found: list[list[int]] = [[] for _ in segments]
    for token, (start, end) in enumerate(offsets):
        first = next((at for at in range(start, end) if not text[at].isspace()), None)
        if first is None:
            continue
        number = bisect_right(starts, first) - 1
        if number >= 0 and first < segments[number][1]:
            found[number].append(token)
    return found


def segment_values(
    values: NDArray[Any], tokens: Sequence[Sequence[int]], how: str, bound: float | None
) -> list[float | None]:
    """Return one value per segment; None for a segment without tokens.

    Args:
        values: float `[T]`.
        tokens: The indices of each segment's tokens.
        how: `mean`, `min` or `sum`.
        bound: Values are cut at plus and minus this, which only sums reach; None leaves them.
    """
    pool = _HOW[how]
    found: list[float | None] = []
    for own in tokens:
        value = float(pool(values[list(own)].astype(np.float64))) if own else None
        found.append(value if value is None or bound is None else min(max(value, -bound), bound))
    return found


def pooled(
    values: NDArray[Any], tokens: Sequence[Sequence[int]], by_segment: Sequence[float | None]
) -> NDArray[np.float32]:
    """Return the values with each segment's value in place of its tokens' own, float32 `[T]`.

    Args:
        values: float `[T]`. A token of no segment keeps its own value.
        tokens: The indices of each segment's tokens.
        by_segment: The value of each segment.
    """
    result = values.astype(np.float32)
    for own, value in zip(tokens, by_segment, strict=True):
        if value is not None:
            result[list(own)] = value
    return result
