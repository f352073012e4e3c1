"""From claims to scorings: fetch the items of several shards at once, and render them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from tokenreward import estimators
from tokenreward.errors import UnknownName
from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.protocol.ids_item import IdsItem
from tokenreward.protocol.records import Corrupt, JobSlice, ScoringOptions
from tokenreward.schema import Item, ItemFailure
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.shards.blame import blaming
from tokenreward_workers.shards.claimed_shard import ClaimedShard, Place
from tokenreward_workers.shards.logprob_cache import LogprobCache
from tokenreward_workers.shards.planning import plan
from tokenreward_workers.shards.wanting import wanting
from tokenreward_workers.store.job_store import JobStoreClient

log = logging.getLogger(__name__)

_WITHOUT_SPANS = ItemFailure(code="invalid_item", message="pool = 'spans', and the item has no `spans`")


def prepare(shards: Sequence[ClaimedShard], store: JobStoreClient, renderer: Renderer, cache: LogprobCache) -> None:
    """Fetch, render and tokenize the items of shards, and settle what the cache knows.

    An item that cannot be read or rendered fails in its place. A shard on which anything else goes wrong is blamed.

    Raises:
        RedisError, BlobsAway, NoBlobStore: The job store or the blob store cannot be used now. It may be called again.
    """
    blobs = iter(store.stored_entries([member for shard in shards for member in shard.claim.members]))
    for shard in shards:
        with blaming([shard]):
            shard.places = _places(shard, store, blobs, renderer)
    with blaming(shards):
        plan(shards, cache)


def _places(
    shard: ClaimedShard, store: JobStoreClient, blobs: Iterator[bytes | None], renderer: Renderer
) -> list[Place]:
    found = []
    for member in shard.claim.members:
        entries = _entries(member, store, next(blobs))
        places = [Place(member, member.start + i, e.id, failure=e.failure) for i, e in enumerate(entries)]
        items = [(place, entry.item) for place, entry in zip(places, entries, strict=True) if entry.item is not None]
        rendered = _rendered([item for _, item in items], shard.claim.jobs[member.job], renderer)
        for (place, _), result in zip(items, rendered, strict=True):
            if isinstance(result, ItemFailure):
                place.failure = result
            else:
                place.prepared = result
        found += places
    return found


def _entries(member: JobSlice, store: JobStoreClient, blob: bytes | None) -> list[Entry]:
    try:
        return store.entries(member, blob)
    except Corrupt as error:
        log.error("%s", error)
        gone = ItemFailure(code="engine_error", message="the item's stored form cannot be read")
        return [Entry(None, failure=gone)] * member.count


def _rendered(
    items: Sequence[Item | IdsItem], options: ScoringOptions, renderer: Renderer
) -> Sequence[Prepared | ItemFailure]:
    try:
        estimator = estimators.resolve(options.estimator)
    except UnknownName as error:  # from a service of a newer version
        message = f"{error}; the worker has another version than the service: upgrade it and retry the job"
        return [ItemFailure(code="engine_error", message=message)] * len(items)
    if (unfit := estimator.unfit(options.template)) is not None:
        return [ItemFailure(code="bad_template", message=unfit)] * len(items)
    most = {branch: int(options.parameters[name]) for branch, name in estimator.repeated.items()}
    outcomes = renderer.prepare(items, options.template, estimator.branches, most)
    if options.pool == "spans":
        outcomes = [_WITHOUT_SPANS if isinstance(out, Prepared) and not out.spans else out for out in outcomes]
    return [
        out if isinstance(out, ItemFailure) else wanting(out, item, options, renderer)
        for out, item in zip(outcomes, items, strict=True)
    ]
