"""Shards whose items have branches of several models: what one model found out goes with the shard to the next one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tokenreward.protocol.parts import Part
from tokenreward.schema import ItemFailure
from tokenreward_workers.scoring import Row, ScoringFailed
from tokenreward_workers.shards.claimed_shard import ClaimedShard, Place

_GONE = ItemFailure(code="engine_error", message="what another model said of this item is gone; retry the job")
_UNLIKE = ItemFailure(
    code="invalid_item",
    message="the models of this job write the answer in different ids, because their chat templates differ: send "
    "token_ids, or take models with one chat template",
)


def take_over(places: Sequence[Place], parts: Mapping[int, Part]) -> None:
    """Note what the models before this one said of a member's items, by the item's index in its job."""
    for place in places:
        part = parts.get(place.index)
        if place.failure is not None:
            continue
        if part is None:
            place.failure = _GONE
        elif part.failure is not None:
            place.failure = part.failure
        else:
            place.given_response, place.given_columns = part.response, part.rows


def check_same_ids(places: Sequence[Place]) -> None:
    """Read what was taken over, and fail the items whose response is other ids for this model than before."""
    for place in places:
        if place.prepared is None or place.given_response is None:
            continue
        if tuple(place.prepared.response_ids) != place.given_response:
            place.failure, place.prepared = _UNLIKE, None
            continue
        wanted = place.prepared.scoring.wanted
        shape = (len(place.given_response), wanted.width)
        if any(columns.shape != shape for columns in place.given_columns.values()):
            place.failure, place.prepared = _GONE, None
        else:
            place.given = {branch: Row.of(columns, wanted) for branch, columns in place.given_columns.items()}


def parts_of(shard: ClaimedShard) -> Iterator[tuple[str, int, Part]]:
    """Yield (job, index, part) of each item of a shard that the engine is done with, for the model after this one."""
    for place in shard.places:
        if place.member.job not in shard.unwanted:
            yield place.member.job, place.index, _part(place)


def _part(place: Place) -> Part:
    if place.failure is None and (place.prepared is None or place.scored is None):
        return Part(failure=ItemFailure(code="engine_error", message="the engine gave no outcome"))
    if isinstance(place.failure, ScoringFailed):
        return Part(failure=ItemFailure(code=place.failure.code, message=place.failure.message))
    if place.failure is not None:
        return Part(failure=place.failure)
    assert place.prepared is not None
    assert place.scored is not None
    rows = {**place.given, **place.scored}
    return Part(place.prepared.response_ids, {branch: row.columns for branch, row in rows.items()})
