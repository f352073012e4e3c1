"""Keeps the engine busy: the threads of a worker, and what they hand to each other.

    doorbells -> claim (main thread) -> prepare (thread) -> stream -> score (thread of the engine) -> commit (thread)

A fourth thread renews the leases.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from tokenreward.errors import BadInput
from tokenreward_workers.engines import recovery
from tokenreward_workers.engines.base import Engine
from tokenreward_workers.model_files.adapters import AdapterShelf
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.shards.blame import blaming
from tokenreward_workers.shards.claim_ahead import ClaimAhead
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.committing import Committer
from tokenreward_workers.shards.held_shards import HeldShards
from tokenreward_workers.shards.leases import Leases
from tokenreward_workers.shards.logprob_cache import LogprobCache
from tokenreward_workers.shards.patience import patiently
from tokenreward_workers.shards.preparing import Preparer
from tokenreward_workers.shards.preparing_queue import PreparingQueue
from tokenreward_workers.shards.scoring_stream import ScoringStream
from tokenreward_workers.shards.throughput import Throughput
from tokenreward_workers.store.job_store import JobStoreClient

log = logging.getLogger(__name__)


class Pipeline:
    """One engine and the threads around it.

    Attributes:
        throughput: What has been done, and how fast.
        held: The shards that this worker holds.
    """

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        store: JobStoreClient,
        *,
        cache_ttl: int,
        tokens_per_second: float | None,
        on_fatal: Callable[[BaseException], None],
        shelf: AdapterShelf | None = None,
    ) -> None:
        """Connect everything; `start` sets it going.

        Args:
            engine: A loaded engine, used from one thread from now on.
            renderer: Prepares items for that engine's model.
            store: Where shards come from and results go.
            cache_ttl: Seconds for which log-probs are kept for reuse; 0 for no cache.
            tokens_per_second: The engine's rate as far as it is known.
            on_fatal: Called with the error when a thread cannot go on.
            shelf: The model's adapters; None where it takes none.
        """
        self.throughput = Throughput(tokens_per_second)
        self.held = HeldShards()
        self._engine = engine
        self._store = store
        self._on_fatal = on_fatal
        self._draining = threading.Event()
        self._ahead = ClaimAhead(self.held, self.throughput)
        cache = LogprobCache(store, cache_ttl)
        self._committer = Committer(store, renderer, cache, self.held, self.throughput, self._draining)
        self._stream = ScoringStream(self.held, self.throughput, mark=self._mark, finished=self._committer.put)
        preparer = Preparer(store, renderer, cache, shelf)
        self._preparing = PreparingQueue(preparer, self._stream, self._ahead, self._draining)
        leases = Leases(store, self.held, self._stream, self._ahead)
        self._working = [
            threading.Thread(target=self._guard, args=(body,), name=name, daemon=True)
            for name, body in (
                ("prepare", self._preparing.run),
                ("score", self._score),
                ("commit", self._committer.run),
            )
        ]
        self._renewing = threading.Thread(target=self._guard, args=(leases.run,), name="renew", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        for thread in (*self._working, self._renewing):
            thread.start()

    def room(self, timeout: float) -> int:
        """Wait until shards may be claimed, and say how many; 0 if none may within `timeout` seconds."""
        with self.held.changed:
            return self.held.changed.wait_for(self._room, timeout)

    def claim(self, count: int) -> bool:
        """Claim the next shards, one for each doorbell that was heard. Returns whether there were so many."""
        claims = self._store.claim(count)
        for claim in claims:
            shard = ClaimedShard(claim)
            self._ahead.claimed(shard)
            self.held.add(shard)
            self._stream.progress.set()
            self._preparing.put(shard)
        return len(claims) == count

    def drain(self, seconds: float) -> None:
        """Finish the shards that the engine has begun, hand the others back, and end the threads.

        A shard on which a thread failed is not handed back, since it would fail any other worker too: the reconciler
        finds its worker gone, and treats it like one that kills its workers.

        Args:
            seconds: How long the threads may take.
        """
        self._draining.set()
        with self.held.changed:
            self.held.changed.notify_all()
        self._stream.close()
        self._preparing.close()
        deadline = time.monotonic() + seconds
        for thread in self._working:
            thread.join(max(0.0, deadline - time.monotonic()))
        held = self.held.all()
        blamed = {shard.id for shard in held if shard.blamed}
        for shard in dict.fromkeys(shard.id for shard in held):
            if shard in blamed:
                self._store.mark_scoring(shard)
            else:
                self._store.hand_back(shard)

    def _room(self) -> int:
        return 1 if self._draining.is_set() else self._ahead.wanted()

    def _mark(self, shard: str) -> None:
        patiently(lambda: self._store.mark_scoring(shard), self._draining)

    def _score(self) -> None:
        try:
            for key, outcome in recovery.score(self._engine, self._stream):
                self._stream.settle(key, outcome)  # type: ignore[arg-type]
        except BaseException:
            # An engine's BadInput is about its own set-up, such as an endpoint that serves another model now.
            with blaming(self._stream.shards_in_engine, passed=(BadInput,)):
                raise
        finally:
            self._committer.close()

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            log.critical("%s stopped", threading.current_thread().name, exc_info=True)
            self._on_fatal(error)
