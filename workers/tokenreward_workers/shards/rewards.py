"""From log-probs to what a job gets back: the estimator's rewards, and what else was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenreward import estimators
from tokenreward.errors import BadInput
from tokenreward.estimators import MOST_REWARD, Evidence, LogProbs, Moments, Rewards
from tokenreward.protocol.records import ScoringOptions
from tokenreward.schema import ItemFailure, ItemResult, Segment, TokenCandidates, TokenMoments
from tokenreward.segments import pooled, segment_values, segments_of, tokens_by_segment
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Candidates, Scored, ScoringFailed

#: The text of each token of a response, and its `[start, end)` in characters.
Pieces = tuple[list[str], list[tuple[int, int]]]


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
    evidence, pieces = evidence_of(prepared, scored, options, renderer)
    places = places_of(prepared)
    try:
        outcome = estimators.resolve(options.estimator).apply(evidence, options.parameters)
    except BadInput as error:
        return failed(index, item_id, ItemFailure(code="invalid_item", message=str(error)))
    if outcome.rewards.shape != places.shape or not np.isfinite(outcome.rewards).all():
        return failed(index, item_id, ScoringFailed("non_finite", "the estimator gave a reward that is no number"))
    rewards, segments = pooled_rewards(spread(outcome.rewards, prepared), prepared, pieces, options)
    include = set(options.include)
    return ItemResult(
        index=index,
        id=item_id,
        token_ids=list(prepared.scoring.response),
        rewards=rewards.tolist(),
        logprobs={name: row.logprobs.tolist() for name, row in scored.items()} if "logprobs" in include else None,
        tokens=pieces[0] if "tokens" in include else None,
        offsets=pieces[1] if "tokens" in include else None,
        difference=spread(outcome.difference, prepared).tolist() if "difference" in include else None,
        segments=segments if "segments" in include else None,
        turns=None if prepared.turns is None else list(prepared.turns),
        moments=_moments(scored) if "moments" in include else None,
        top=_candidates({name: row.top for name, row in scored.items()}) if "top" in include else None,
        named=_candidates({name: row.named for name, row in scored.items()}) if "named" in include else None,
    )


def evidence_of(
    prepared: Prepared, scored: Scored, options: ScoringOptions, renderer: Renderer
) -> tuple[Evidence, Pieces]:
    """Return what the estimator may look at, and the response's tokens as text where something needs them."""
    estimator = estimators.resolve(options.estimator)
    needed = bool(estimator.fields) or estimator.text or options.pool is not None or "tokens" in options.include
    pieces = renderer.pieces(prepared) if needed else ([], [])
    places = places_of(prepared)
    offsets = [pieces[1][place] for place in places] if pieces[1] else []
    moments = {
        name: Moments(row.moments.entropy[places], row.moments.variance[places])
        for name, row in scored.items()
        if row.moments is not None and "[" not in name
    }
    return Evidence(gathered(scored, places), prepared.text, offsets, prepared.context, moments), pieces


def places_of(prepared: Prepared) -> NDArray[np.intp]:
    """Return which of the response's tokens are the assistant's: all of them, unless several turns are scored."""
    if prepared.turns is None:
        return np.arange(len(prepared.response_ids))
    return np.flatnonzero(np.asarray(prepared.turns) >= 0)


def spread(values: NDArray[Any], prepared: Prepared) -> Rewards:
    """Return values of the assistant's tokens as values of all of the response's, float32 `[T]`, 0 for the others."""
    whole = np.zeros(len(prepared.response_ids), dtype=np.float32)
    whole[places_of(prepared)] = values
    return whole


def gathered(scored: Scored, places: NDArray[np.intp]) -> dict[str, LogProbs]:
    """Return the log-probs of the tokens at `places` by branch, the repetitions of a branch as one float32 `[K, T]`."""
    single: dict[str, LogProbs] = {}
    repeated: dict[str, list[LogProbs]] = {}
    for name, row in scored.items():
        branch, bracket, _ = name.partition("[")
        if bracket:
            repeated.setdefault(branch, []).append(row.logprobs[places])
        else:
            single[name] = row.logprobs[places]
    return single | {name: np.stack(rows) for name, rows in repeated.items()}


def _moments(scored: Scored) -> dict[str, TokenMoments]:
    """Return the moments of every branch as a result has them."""
    return {
        name: TokenMoments(entropy=row.moments.entropy.tolist(), variance=row.moments.variance.tolist())
        for name, row in scored.items()
        if row.moments is not None
    }


def _candidates(by_branch: Mapping[str, Candidates | None]) -> dict[str, TokenCandidates]:
    return {name: TokenCandidates(ids=one.ids, logprobs=one.logprobs) for name, one in by_branch.items() if one}


def pooled_rewards(
    rewards: Rewards, prepared: Prepared, pieces: Pieces, options: ScoringOptions
) -> tuple[Rewards, list[Segment] | None]:
    """Return the rewards, pooled where the job asks for it, and the segments that they were pooled over."""
    if options.pool is None:
        return rewards, None
    spans = prepared.spans if options.pool == "spans" else segments_of(prepared.text, options.pool)
    tokens = tokens_by_segment(pieces[1], spans, prepared.text)
    bound = None if estimators.resolve(options.estimator).unbounded else MOST_REWARD
    values = segment_values(rewards, tokens, options.pool_by, bound)
    found = [Segment(start=a, end=b, reward=value) for (a, b), value in zip(spans, values, strict=True)]
    return pooled(rewards, tokens, values), found
