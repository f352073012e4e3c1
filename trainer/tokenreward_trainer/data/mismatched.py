"""Pairs whose completions answer another prompt, from which KTO estimates how far the policy is from its reference."""

from __future__ import annotations

from collections.abc import Sequence

from tokenreward_trainer.data.pair import Pair


def mismatched_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Gives each prompt the completions of the pair before it (KTO, arXiv 2402.01306, sec. 4.2).

    Args:
        pairs: The pairs of a batch, in any order.

    Returns:
        As many pairs, without labels; none of a single pair, whose completions would be its own.
    """
    if len(pairs) < 2:
        return []
    return [
        Pair(
            pair.id,
            pair.prompt,
            other.chosen,
            other.rejected,
            chosen_mask=other.chosen_mask,
            rejected_mask=other.rejected_mask,
        )
        for pair, other in zip(pairs, [pairs[-1], *pairs[:-1]], strict=True)
    ]
