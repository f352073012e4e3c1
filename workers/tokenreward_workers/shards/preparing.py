"""From claims to scorings: fetch the items of several shards at once, and render them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tokenreward import estimators
from tokenreward.errors import BadInput, UnknownName
from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.protocol.ids_item import IdsItem
from tokenreward.protocol.records import AdapterRef, Corrupt, JobSlice, ScoringOptions
from tokenreward.schema import Item, ItemFailure
from tokenreward_workers.model_files.adapters import AdapterShelf
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Adapter
from tokenreward_workers.shards.blame import blaming
from tokenreward_workers.shards.claimed_shard import ClaimedShard, Place
from tokenreward_workers.shards.handing_on import check_same_ids, take_over
from tokenreward_workers.shards.logprob_cache import LogprobCache
from tokenreward_workers.shards.planning import plan
from tokenreward_workers.shards.wanting import wanting
from tokenreward_workers.store.job_store import JobStoreClient

log = logging.getLogger(__name__)

_WITHOUT_SPANS = ItemFailure(code="invalid_item", message="pool = 'spans', and the item has no `spans`")


class Preparer:
    """Turns claimed shards into scorings, for one model."""

    def __init__(
        self, store: JobStoreClient, renderer: Renderer, cache: LogprobCache, shelf: AdapterShelf | None = None
    ) -> None:
        """Prepare for a model.

        Args:
            store: Where the items are.
            renderer: The model's.
            cache: Settles what was scored before.
            shelf: The model's adapters; None where it takes none.
        """
        self._store = store
        self._renderer = renderer
        self._cache = cache
        self._shelf = shelf

    def prepare(self, shards: Sequence[ClaimedShard]) -> None:
        """Fetch, render and tokenize the items of shards, and settle what the cache knows.

        An item that cannot be read or rendered fails in its place. A shard on which anything else goes wrong is blamed.

        Raises:
            RedisError, BlobsAway, NoBlobStore: The job store or the blob store cannot be used now. It may be called
                again.
        """
        blobs = iter(self._store.stored_entries([member for shard in shards for member in shard.claim.members]))
        for shard in shards:
            with blaming([shard]):
                shard.places = [
                    place for member in shard.claim.members for place in self._places(shard, member, next(blobs))
                ]
        with blaming(shards):
            plan(shards, self._cache)

    def _places(self, shard: ClaimedShard, member: JobSlice, blob: bytes | None) -> list[Place]:
        options = shard.claim.jobs[member.job]
        entries = _entries(member, self._store, blob)
        places = [Place(member, member.start + i, e.id, failure=e.failure) for i, e in enumerate(entries)]
        if options.elsewhere and options.stages[0] != self._store.fingerprint:
            take_over(places, self._store.parts(member))
        items = [
            (place, entry.item)
            for place, entry in zip(places, entries, strict=True)
            if entry.item is not None and place.failure is None
        ]
        rendered = self._rendered([item for _, item in items], options)
        for (place, _), result in zip(items, rendered, strict=True):
            if isinstance(result, ItemFailure):
                place.failure = result
            else:
                place.prepared = result
        check_same_ids(places)
        return places

    def _rendered(self, items: Sequence[Item | IdsItem], options: ScoringOptions) -> Sequence[Prepared | ItemFailure]:
        try:
            estimator = estimators.resolve(options.estimator)
        except UnknownName as error:  # from a service of a newer version
            message = f"{error}; the worker has another version than the service: upgrade it and retry the job"
            return [ItemFailure(code="engine_error", message=message)] * len(items)
        if (unfit := estimator.unfit(options.template)) is not None:
            return [ItemFailure(code="bad_template", message=unfit)] * len(items)
        if (unfit := estimator.unfit_model(options.provenance.fingerprint)) is not None:
            return [ItemFailure(code="bad_template", message=unfit)] * len(items)
        branches = options.branches_of(self._store.fingerprint, estimator.branches)
        try:
            adapters = {name: self._adapter(ref) for name, ref in options.adapters.items() if name in branches}
        except BadInput as error:
            return [ItemFailure(code="adapter_failed", message=str(error))] * len(items)
        most = {branch: int(options.parameters[name]) for branch, name in estimator.repeated.items()}
        outcomes = self._renderer.prepare(items, options.template, branches, most, adapters)
        if options.pool == "spans":
            outcomes = [_WITHOUT_SPANS if isinstance(out, Prepared) and not out.spans else out for out in outcomes]
        return [
            out if isinstance(out, ItemFailure) else wanting(out, item, options, self._renderer)
            for out, item in zip(outcomes, items, strict=True)
        ]

    def _adapter(self, wanted: AdapterRef) -> Adapter:
        if self._shelf is None:
            raise BadInput("this worker takes no adapters: start it with --max-adapters")
        return self._shelf.find(wanted)


def _entries(member: JobSlice, store: JobStoreClient, blob: bytes | None) -> list[Entry]:
    try:
        return store.entries(member, blob)
    except Corrupt as error:
        log.error("%s", error)
        gone = ItemFailure(code="engine_error", message="the item's stored form cannot be read")
        return [Entry(None, failure=gone)] * member.count
