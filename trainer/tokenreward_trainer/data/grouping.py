"""Groups of pairs of like length, each small enough for one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokenreward_trainer.data.pair import BatchLayout, Pair


def by_length(pairs: Sequence[Pair], max_tokens: int, layout: BatchLayout) -> Iterator[list[int]]:
    """Groups pairs, the longest first, so that a pass over a group reads a bounded number of tokens.

    Args:
        pairs: The pairs to group.
        max_tokens: The most tokens that a group may have, padding included; a longer pair is a group of its own.
        layout: The batch layout, which decides how many tokens a pair costs.

    Yields:
        Indices into `pairs`; every index comes once.
    """

    def tokens_of(index: int) -> int:
        pair = pairs[index]
        return pair.tokens if layout == "packed" else 2 * (len(pair.prompt) + max(len(pair.chosen), len(pair.rejected)))

    group: list[int] = []
    used = 0
    for index in sorted(range(len(pairs)), key=lambda i: -tokens_of(i)):
        tokens = tokens_of(index)
        if group and used + tokens > max_tokens:
            yield group
            group, used = [], 0
        group.append(index)
        used += tokens
    if group:
        yield group
