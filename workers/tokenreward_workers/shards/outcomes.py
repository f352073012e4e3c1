"""What is committed of a shard that the engine is done with: the results of each member, as they are stored."""

from __future__ import annotations

from tokenreward.protocol.arrow_blobs import pack_results
from tokenreward.schema import ItemResult
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.scoring import ScoringFailed
from tokenreward_workers.shards.claimed_shard import ClaimedShard, Place
from tokenreward_workers.shards.rewards import failed, rewarded
from tokenreward_workers.store.job_store import MemberOutcome


def outcomes(shard: ClaimedShard, renderer: Renderer) -> list[MemberOutcome]:
    """Return the outcome of each member of a shard, without those of jobs that do not want it any more."""
    found = []
    for member in shard.claim.members:
        if member.job in shard.unwanted:
            continue
        places = [place for place in shard.places if place.member is member]
        results = [_result(shard, place, renderer) for place in places]
        good = [place for place, result in zip(places, results, strict=True) if result.error is None]
        tokens = sum(place.prepared.scoring.tokens for place in good if place.prepared)
        failures = len(results) - len(good)
        found.append(MemberOutcome(member, failures, tokens, pack_results(results)))
    return found


def _result(shard: ClaimedShard, place: Place, renderer: Renderer) -> ItemResult:
    if place.failure is not None:
        return failed(place.index, place.id, place.failure)
    if place.prepared is None or place.scored is None:
        return failed(place.index, place.id, ScoringFailed("engine_error", "the engine gave no outcome"))
    options = shard.claim.jobs[place.member.job]
    return rewarded(place.index, place.id, place.prepared, {**place.given, **place.scored}, options, renderer)
