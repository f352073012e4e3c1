"""From log-probs to what a job gets back: the estimator's rewards, and what else was asked for."""

from __future__ import annotations

import numpy as np

from tokenreward import estimators
from tokenreward.protocol.records import ScoringOptions
from tokenreward.schema import ItemFailure, ItemResult
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Scored, ScoringFailed


def failed(index: int, item_id: str | None, failure: ItemFailure | ScoringFailed) -> ItemResult:
    """Return the result of an item that has no rewards."""
    if isinstance(failure, ScoringFailed):
        failure = ItemFailure(code=failure.code, message=failure.message)
    return ItemResult(index=index, id=item_id, error=failure)


def rewarded(
    index: int, item_id: str | None, prepared: Prepared, scored: Scored, options: ScoringOptions, renderer: Renderer
) -> ItemResult:
    """Compute the result of one item.

    Args:
        index: The item's index in its job.
        item_id: The item's id, if it has one.
        prepared: The item as token ids.
        scored: The log-probs of its response under each branch.
        options: The estimator, and what the results are to include.
        renderer: The one that prepared it, which knows the text of each token.

    Returns:
        The item's rewards, or its error should the estimator break its promise.
    """
    logprobs = {name: row.logprobs for name, row in scored.items()}
    rewards = estimators.resolve(options.estimator).rewards(logprobs)
    if rewards.shape != (len(prepared.scoring.response),) or not np.isfinite(rewards).all():
        return failed(index, item_id, ScoringFailed("non_finite", "the estimator gave a reward that is no number"))
    tokens = offsets = None
    if "tokens" in options.include:
        tokens, offsets = renderer.pieces(prepared)
    return ItemResult(
        index=index,
        id=item_id,
        token_ids=list(prepared.scoring.response),
        rewards=rewards.tolist(),
        logprobs={name: row.tolist() for name, row in logprobs.items()} if "logprobs" in options.include else None,
        tokens=tokens,
        offsets=offsets,
    )
