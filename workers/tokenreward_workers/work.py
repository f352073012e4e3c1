"""One shard on its way through a worker: fetched and rendered, looked up in the cache, scored, turned into outcomes."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from tokenreward import estimators
from tokenreward.errors import UnknownName
from tokenreward.protocol.blobs import Entry, pack_results
from tokenreward.protocol.shards import Claim, Corrupt, Member, ScoringOptions
from tokenreward.schema import Item, ItemFailure, ItemResult
from tokenreward_workers.engines.base import Scored, Scoring, ScoringFailed, checked
from tokenreward_workers.link import Link
from tokenreward_workers.outcomes import branch_hashes, failed, rewarded
from tokenreward_workers.rendering import Prepared, Renderer

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Place:
    """One item's place in a shard, and what is known of its outcome."""

    member: Member
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

    def outcomes(self, renderer: Renderer, unwanted: Collection[str]) -> list[tuple[Member, int, int, bytes]]:
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


def prepare(claim: Claim, link: Link, renderer: Renderer, *, use_cache: bool) -> Shard:
    """Fetch, render, tokenize, and skip what the cache knows. A job whose items cannot be read fails in place."""
    shard = Shard(claim, [])
    for member in claim.members:
        options = claim.jobs[member.job]
        try:
            entries = link.entries([member])[0]
        except Corrupt as error:
            log.error("%s", error)
            gone = ItemFailure(code="engine_error", message="the item's stored form cannot be read")
            entries = [Entry(None, failure=gone)] * member.count
        places = [Place(member, member.start + i, e.id, failure=e.failure) for i, e in enumerate(entries)]
        items = [(place, entry.item) for place, entry in zip(places, entries, strict=True) if entry.item is not None]
        for (place, _), result in zip(items, _rendered([item for _, item in items], options, renderer), strict=True):
            if isinstance(result, ItemFailure):
                place.failure = result
            else:
                place.prepared = result
        shard.places += places
    _plan(shard, link if use_cache else None)
    return shard


def _rendered(items: Sequence[Item], options: ScoringOptions, renderer: Renderer) -> Sequence[Prepared | ItemFailure]:
    try:
        branches = estimators.resolve(options.estimator).branches
    except UnknownName as error:  # from a service of a newer version
        message = f"{error}; the worker has another version than the service: upgrade it and retry the job"
        return [ItemFailure(code="engine_error", message=message)] * len(items)
    return renderer.prepare(items, options.template, branches)


def cacheable(shard: Shard) -> list[tuple[str, bytes]]:
    """Fresh log-probs worth keeping."""
    return [
        (content_hash, places[0].scored[branch].tobytes())
        for places, hashes in zip(shard.wanted_by, shard.hashes, strict=True)
        if places[0].scored is not None
        for branch, content_hash in hashes.items()
    ]


def _plan(shard: Shard, cache: Link | None) -> None:
    """Group identical work, and settle what the cache knows."""
    waiting = [place for place in shard.places if place.prepared is not None]
    hashes = [branch_hashes(place.prepared.scoring) for place in waiting if place.prepared is not None]
    known = _lookup(hashes, cache) if cache is not None else {}
    by_work: dict[tuple[tuple[str, str], ...], int] = {}
    for place, own in zip(waiting, hashes, strict=True):
        assert place.prepared is not None
        scoring = place.prepared.scoring
        cached = {branch: known[h] for branch, h in own.items() if len(known.get(h, ())) == len(scoring.response)}
        settled = checked(cached, len(scoring.response)) if len(cached) == len(own) else None
        if settled is not None and not isinstance(settled, ScoringFailed):
            place.scored = settled
            shard.cache_hits += 1
            continue
        key = tuple(own.items())
        if key not in by_work:
            by_work[key] = len(shard.scorings)
            shard.scorings.append(scoring)
            shard.wanted_by.append([])
            shard.hashes.append(own)
        shard.wanted_by[by_work[key]].append(place)


def _lookup(hashes: Sequence[dict[str, str]], cache: Link) -> dict[str, np.ndarray]:
    names = sorted({h for own in hashes for h in own.values()})
    if not names:
        return {}
    values = cache.cached(names)
    # A value that is no array of float32 is a stranger's: it is not used.
    return {
        name: np.frombuffer(value, dtype=np.float32)
        for name, value in zip(names, values, strict=True)
        if value is not None and len(value) % 4 == 0
    }
