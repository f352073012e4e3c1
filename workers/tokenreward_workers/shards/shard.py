"""One shard on its way through a worker: fetched and rendered, looked up in the cache, scored, turned into outcomes."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field

from tokenreward.protocol.arrow_blobs import pack_results
from tokenreward.protocol.records import Claim, JobSlice
from tokenreward.schema import ItemFailure, ItemResult
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Scored, Scoring, ScoringFailed
from tokenreward_workers.shards.rewards import failed, rewarded

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Place:
    """One item's place in a shard, and what is known of its outcome."""

    member: JobSlice
    index: int
    id: str | None
    prepared: Prepared | None = None
    failure: ItemFailure | ScoringFailed | None = None
    scored: Scored | None = None


@dataclass(slots=True)
class Shard:
    """A claimed shard with everything that was found out about it.

    scorings: what the engine has to do, each wanted by one or more `places` (identical work is done once).
    """

    claim: Claim
    places: list[Place]
    scorings: list[Scoring] = field(default_factory=list)
    wanted_by: list[list[Place]] = field(default_factory=list)
    hashes: list[dict[str, str]] = field(default_factory=list)
    cache_hits: int = 0

    @property
    def id(self) -> str:
        return self.claim.shard

    def unwanted(self, jobs: Collection[str]) -> list[int]:
        """Scorings that only `jobs` asked for."""
        return [n for n, places in enumerate(self.wanted_by) if all(place.member.job in jobs for place in places)]

    def settle(self, n: int, outcome: Scored | ScoringFailed) -> None:
        """The engine's answer to scoring `n`."""
        for place in self.wanted_by[n]:
            if isinstance(outcome, ScoringFailed):
                place.failure = outcome
            else:
                place.scored = outcome

    def outcomes(self, renderer: Renderer, unwanted: Collection[str]) -> list[tuple[JobSlice, int, int, bytes]]:
        """For the commit: (member, failed items, tokens, results) each, without those of `unwanted` jobs."""
        found = []
        for member in self.claim.members:
            if member.job in unwanted:
                continue
            places = [place for place in self.places if place.member is member]
            results = [self._result(place, renderer) for place in places]
            tokens = sum(place.prepared.scoring.tokens for place in places if place.prepared)
            found.append((member, sum(r.error is not None for r in results), tokens, pack_results(results)))
        return found

    def _result(self, place: Place, renderer: Renderer) -> ItemResult:
        if place.failure is not None:
            return failed(place.index, place.id, place.failure)
        if place.prepared is None or place.scored is None:
            return failed(place.index, place.id, ScoringFailed("engine_error", "the engine gave no outcome"))
        options = self.claim.jobs[place.member.job]
        return rewarded(place.index, place.id, place.prepared, place.scored, options, renderer)
