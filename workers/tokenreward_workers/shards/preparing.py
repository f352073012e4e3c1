"""TODO: what this module owns."""

from __future__ import annotations

from collections.abc import Sequence

from tokenreward import estimators
from tokenreward.errors import UnknownName
from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.protocol.records import Claim, Corrupt, ScoringOptions
from tokenreward.schema import Item, ItemFailure
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import ScoringFailed, checked
from tokenreward_workers.shards.logprob_cache import _lookup, branch_hashes
from tokenreward_workers.shards.shard import Place, Shard, log
from tokenreward_workers.store.job_store import JobStoreClient


def prepare(claim: Claim, link: JobStoreClient, renderer: Renderer, *, use_cache: bool) -> Shard:
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


def _plan(shard: Shard, cache: JobStoreClient | None) -> None:
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
