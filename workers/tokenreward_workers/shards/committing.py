"""Commits finished shards, or hands them to the next of their models: all that wait, in one round trip each."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence

from tokenreward_workers.rendering import Renderer
from tokenreward_workers.shards.blame import blaming
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.handing_on import parts_of
from tokenreward_workers.shards.held_shards import HeldShards
from tokenreward_workers.shards.logprob_cache import LogprobCache
from tokenreward_workers.shards.outcomes import outcomes
from tokenreward_workers.shards.patience import patiently
from tokenreward_workers.shards.throughput import Throughput
from tokenreward_workers.store.job_store import JobStoreClient, MemberOutcome, Onward

log = logging.getLogger(__name__)

_MOST_SHARDS = 32
_MOST_ITEMS = 512


class Committer:
    """Takes finished shards and commits them, in the order in which they were finished."""

    def __init__(
        self,
        store: JobStoreClient,
        renderer: Renderer,
        cache: LogprobCache,
        held: HeldShards,
        throughput: Throughput,
        draining: threading.Event,
    ) -> None:
        self._store = store
        self._renderer = renderer
        self._cache = cache
        self._held = held
        self._throughput = throughput
        self._draining = draining
        self._finished: queue.SimpleQueue[ClaimedShard | None] = queue.SimpleQueue()

    def put(self, shard: ClaimedShard) -> None:
        """Hand over a shard that the engine is done with."""
        self._finished.put(shard)

    def close(self) -> None:
        """End `run` after what was put before."""
        self._finished.put(None)

    def run(self) -> None:
        """Commit until closed."""
        while batch := self._next():
            self.commit(batch)

    def commit(self, shards: Sequence[ClaimedShard]) -> None:
        """Commit shards, keep their log-probs, and let go of them."""
        work: dict[ClaimedShard, Sequence[MemberOutcome]] = {}
        onward: dict[ClaimedShard, Onward] = {}
        for shard in shards:
            if shard.lost and not shard.settled:
                log.warning("shard %s was lost while it was scored: nothing to commit", shard.id)
                self._held.remove(shard)
                continue
            with blaming([shard]):
                following = shard.next_stage(self._store.fingerprint)
                if following is None:
                    work[shard] = outcomes(shard, self._renderer)
                else:
                    onward[shard] = Onward(shard.id, following, list(parts_of(shard)), shard.front)
        first = [*self._committed(work), *self._passed_on(onward)]
        for shard in (*work, *onward):
            if shard in first:
                self._throughput.committed(len(shard.places), shard.cache_hits)
            else:
                log.info("shard %s had been committed by somebody else, or its jobs were over", shard.id)
        for shard in (*work, *onward):
            self._held.remove(shard)
        self._cache.keep(first)

    def _committed(self, work: dict[ClaimedShard, Sequence[MemberOutcome]]) -> list[ClaimedShard]:
        """Commit, patiently. Returns the shards that nobody had committed before."""
        left = dict(work)
        first: list[ClaimedShard] = []

        def attempt() -> None:
            told = self._store.commit([(shard.id, own) for shard, own in left.items()])
            for shard, answer in zip(list(left), told, strict=True):
                if not isinstance(answer, Exception):
                    del left[shard]
                    if answer:
                        first.append(shard)
            for answer in told:
                if isinstance(answer, Exception):
                    raise answer

        if work:
            patiently(attempt, self._draining)
        return first

    def _passed_on(self, onward: dict[ClaimedShard, Onward]) -> list[ClaimedShard]:
        """Hand shards to the model after this one, patiently. Returns those that were still this one's to hand on."""
        if not onward:
            return []
        told = patiently(lambda: self._store.pass_on(list(onward.values())), self._draining)
        return [shard for shard, passed in zip(onward, told, strict=True) if passed]

    def _next(self) -> list[ClaimedShard]:
        """Everything that waits, up to a limit; nothing at the end."""
        batch: list[ClaimedShard] = []
        shard = self._finished.get()
        while shard is not None:
            batch.append(shard)
            if len(batch) >= _MOST_SHARDS or sum(s.items for s in batch) >= _MOST_ITEMS:
                break
            try:
                shard = self._finished.get_nowait()
            except queue.Empty:
                break
            if shard is None and batch:
                self._finished.put(None)  # for the next round
        return batch
