"""Which scorings a prepared shard needs: what the cache knows is settled, and identical work is done once."""

from __future__ import annotations

from collections.abc import Sequence

from tokenreward_workers.shards.claimed_shard import ClaimedShard, Place
from tokenreward_workers.shards.logprob_cache import LogprobCache, branch_hashes, known_rows

#: A place that has to be scored, with the cache key of each of its branches.
_Hashed = tuple[Place, dict[str, str]]


def plan(shards: Sequence[ClaimedShard], cache: LogprobCache) -> None:
    """Fill in the scorings of shards whose items have been rendered, with one look into the cache for all."""
    hashed = [_hashed(shard) for shard in shards]
    known = cache.lookup([name for own in hashed for _, hashes in own for name in hashes.values()])
    for shard, own in zip(shards, hashed, strict=True):
        by_work: dict[tuple[tuple[str, str], ...], int] = {}
        for place, hashes in own:
            assert place.prepared is not None
            scoring = place.prepared.scoring
            if not scoring.branches:  # its estimator asks no model
                place.scored = {}
                continue
            place.scored = known_rows(scoring, hashes, known) if known else None
            if place.scored is not None:
                shard.cache_hits += 1
                continue
            work = tuple(hashes.items())
            if work not in by_work:
                by_work[work] = len(shard.scorings)
                shard.scorings.append(scoring)
                shard.wanted_by.append([])
                shard.hashes.append(hashes)
            shard.wanted_by[by_work[work]].append(place)


def _hashed(shard: ClaimedShard) -> list[_Hashed]:
    return [(place, branch_hashes(place.prepared.scoring)) for place in shard.places if place.prepared is not None]
