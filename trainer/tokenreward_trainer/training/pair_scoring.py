"""Log-probs of whole data sets: every completion token of every pair under one model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from tokenreward_trainer.data.collator import Collator, to_device
from tokenreward_trainer.data.grouping import by_length
from tokenreward_trainer.data.pair import BatchLayout, Example, Pair, Values
from tokenreward_trainer.model.packed_attention import row_options
from tokenreward_trainer.model.scorable import base_of
from tokenreward_trainer.model.scoring import attending, score

#: Log-probs of the chosen and of the rejected completion's tokens.
PairLogps = tuple[Values, Values]


def without_adapter(model: nn.Module) -> AbstractContextManager[None]:
    """Returns a context in which a PEFT model is its base; any other model is itself."""
    disable: Callable[[], AbstractContextManager[None]] | None = getattr(model, "disable_adapter", None)
    return disable() if disable is not None and hasattr(model, "get_base_model") else nullcontext()


@torch.no_grad()
def score_pairs(
    model: nn.Module, pairs: Sequence[Pair], *, layout: BatchLayout, max_tokens: int, extras: Collection[str] = ()
) -> list[PairLogps]:
    """Scores every pair in evaluation mode.

    Args:
        model: A scorable model.
        pairs: The pairs, labeled or not.
        layout: The batch layout.
        max_tokens: The most tokens of a forward pass (or one pair).
        extras: See `token_scores`.

    Returns:
        Log-probs of every token of every pair's completions, those that do not count included, in the order of `pairs`.
    """
    found: list[PairLogps | None] = [None] * len(pairs)
    device, training = base_of(model).device, model.training
    collator = Collator(layout, **row_options(base_of(model), device))
    model.eval()
    try:
        for group in by_length(pairs, max_tokens, layout):
            # Labels and masks play no part here, and labels need not be there for all.
            plain = [Example(i, Pair(pairs[i].id, pairs[i].prompt, pairs[i].chosen, pairs[i].rejected)) for i in group]
            with attending(model, layout):
                logps = score(model, to_device(collator.part(plain), device), extras=extras).logps
            grid = logps.cpu().numpy()
            for row, index in enumerate(group):
                chosen, rejected = grid[row], grid[len(group) + row]
                found[index] = chosen[: len(pairs[index].chosen)], rejected[: len(pairs[index].rejected)]
    finally:
        model.train(training)
    return [logps for logps in found if logps is not None]
