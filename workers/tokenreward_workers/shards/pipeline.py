"""Keeps the engine busy: while it scores one shard, the next is fetched and tokenized and the last is written.

    doorbell -> claim (main thread) -> prepare (thread) -> score (thread: the engine lives there) -> commit (thread)

Leases are renewed by a fourth thread, but only when the engine showed progress since the last time: an engine that
hangs loses its shards, whatever else in the process is alive.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

import redis

from tokenreward.protocol.records import Claim, Corrupt, JobSlice
from tokenreward.protocol.spill import BlobsAway
from tokenreward_workers.engines import recovery
from tokenreward_workers.engines.base import Engine
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.shards.leases import _RENEW_EVERY
from tokenreward_workers.shards.logprob_cache import _CACHE_SHARE, _MEMORY_EVERY, cacheable
from tokenreward_workers.shards.preparing import prepare
from tokenreward_workers.shards.shard import Place, Shard
from tokenreward_workers.shards.throughput import Throughput
from tokenreward_workers.store.job_store import JobStoreClient

log = logging.getLogger(__name__)


#: Refusals that end when an operator has made room, or Redis has come up.
_PASSING = ("OOM", "MISCONF", "LOADING", "READONLY", "BUSY")

T = TypeVar("T")


class Pipeline:
    """One engine and the threads around it. `on_fatal` is called when a thread cannot go on."""

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        link: JobStoreClient,
        *,
        cache_ttl: int,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self.load = Throughput()
        self._engine = engine
        self._renderer = renderer
        self._link = link
        self._cache_ttl = cache_ttl
        self._on_fatal = on_fatal
        self._claimed: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._ready: list[Shard] = []
        self._scored: queue.SimpleQueue[Shard | None] = queue.SimpleQueue()
        self._change = threading.Condition()
        # By identity: a shard that was lost may be claimed again while its first claim is still on its way through.
        self._held: dict[int, Claim] = {}
        self._waiting = 0  # claimed, but not yet in the engine
        self._front_waits = False
        self._lost: set[int] = set()
        self._blamed: set[int] = set()
        self._unwanted: dict[int, set[str]] = {}  # jobs that were over while a claim of theirs was on its way
        self._memory = 0.0
        self._memory_seen = -_MEMORY_EVERY
        self._progress = threading.Event()
        self._draining = False
        self._prepared_all = False
        self._threads = [
            threading.Thread(target=self._guard, args=(body,), name=body.__name__.strip("_"), daemon=True)
            for body in (self._prepare, self._score, self._commit, self._renew)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def held(self) -> list[str]:
        """Shards this worker holds at the moment."""
        return list({claim.shard: None for claim in list(self._held.values())})

    def room(self, timeout: float) -> bool:
        """Wait until a shard may be claimed: one waits for the engine, and a second if it is interactive."""
        with self._change:
            return self._change.wait_for(self._has_room, timeout)

    def _has_room(self) -> bool:
        return self._draining or self._waiting < (3 if self._front_waits else 1)

    def claim(self, shard: str) -> bool:
        """Answer a doorbell. False, and nothing happens, if the shard is not to be had."""
        try:
            claim = self._link.claim(shard)
        except Corrupt as error:
            log.error("%s", error)
            return False
        if claim is None:
            return False
        with self._change:
            self._held[id(claim)] = claim
            self._waiting += 1
            self._front_waits = False
        self._progress.set()
        self._claimed.put(claim)
        return True

    def drain(self, seconds: float) -> None:
        """Finish the shard in the engine, hand the others back, and end the threads.

        A shard on which a thread failed is not handed back, since whoever claims it would fail on it again: the
        reconciler finds its worker gone, and treats it like one that kills its workers.
        """
        with self._change:
            self._draining = True
            self._change.notify_all()
        self._claimed.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads[:3]:
            thread.join(max(0.0, deadline - time.monotonic()))
        blamed = {claim.shard for key, claim in list(self._held.items()) if key in self._blamed}
        for shard in self.held:
            if shard in blamed:
                self._link.mark_scoring(shard)
            else:
                self._link.hand_back(shard)

    # ---- the threads ------------------------------------------------------------------------------------

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            log.critical("%s stopped", threading.current_thread().name, exc_info=True)
            self._on_fatal(error)

    @contextlib.contextmanager
    def _blaming(self, claim: Claim) -> Iterator[None]:
        """Whatever goes wrong in here is the shard's fault, unless Redis or a disk says that it is theirs."""
        try:
            yield
        except (redis.RedisError, OSError):
            raise
        except BaseException:
            self._blamed.add(id(claim))
            raise

    def _prepare(self) -> None:
        use_cache = self._cache_ttl > 0
        while (claim := self._claimed.get()) is not None and not self._draining:
            with self._blaming(claim):
                shard = self._patiently(prepare, claim, self._link, self._renderer, use_cache=use_cache)
            with self._change:
                self._ready.append(shard)
                self._change.notify_all()
        with self._change:
            self._prepared_all = True
            self._change.notify_all()

    def _next(self) -> Shard | None:
        """The shard to score now, interactive ones first; None when draining."""
        with self._change:
            self._change.wait_for(lambda: self._ready or self._draining)
            if self._draining:
                return None
            chosen = next((n for n, shard in enumerate(self._ready) if shard.claim.front), 0)
            shard = self._ready.pop(chosen)
            self._waiting -= 1
            self._change.notify_all()
            return shard

    def _score(self) -> None:
        suspicion = False
        while (shard := self._next()) is not None:
            if shard.claim.attempts or suspicion:  # also to say that the engine is done with the suspect before it
                self._patiently(self._link.mark_scoring, shard.id)
            suspicion = shard.claim.attempts > 0
            started = time.monotonic()
            on_step = functools.partial(self._on_step, shard)
            with self._blaming(shard.claim):
                for n, outcome in recovery.score(self._engine, shard.scorings, on_step):
                    shard.settle(n, outcome)
                    self._progress.set()
            self.load.scored(sum(s.tokens for s in shard.scorings), time.monotonic() - started, bool(shard.scorings))
            self._scored.put(shard)
        self._scored.put(None)

    def _on_step(self, shard: Shard) -> Collection[int]:
        self._progress.set()
        if id(shard.claim) in self._lost:
            return range(len(shard.scorings))
        unwanted = self._unwanted.get(id(shard.claim))
        return shard.unwanted(unwanted) if unwanted else ()

    def _commit(self) -> None:
        while (shard := self._scored.get()) is not None:
            key = id(shard.claim)
            if key in self._lost and any(not self._settled(place) for place in shard.places):
                log.warning("shard %s was lost while it was scored: nothing to commit", shard.id)
            elif self._patiently(self._link.commit, shard.id, self._outcomes(shard)):
                self.load.committed(len(shard.places), shard.cache_hits)
                if self._cache_ttl > 0:
                    self._keep(shard)
            else:
                log.info("shard %s had been committed by somebody else, or its jobs were over", shard.id)
            with self._change:
                del self._held[key]
                self._lost.discard(key)
                self._unwanted.pop(key, None)

    def _outcomes(self, shard: Shard) -> list[tuple[JobSlice, int, int, bytes]]:
        with self._blaming(shard.claim):
            return shard.outcomes(self._renderer, self._unwanted.get(id(shard.claim), ()))

    def _patiently(self, call: Callable[..., T], *args: Any, **options: Any) -> T:
        """`call`, again and again while Redis or the blob store is away or full: scored work is worth waiting with."""
        while True:
            try:
                return call(*args, **options)
            except (redis.RedisError, BlobsAway) as error:
                lasting = isinstance(error, redis.ResponseError) and not str(error).startswith(_PASSING)
                if lasting or self._draining:
                    raise
                log.warning("waiting: %s", error)
                time.sleep(1.0)

    @staticmethod
    def _settled(place: Place) -> bool:
        return place.failure is not None or place.scored is not None

    def _keep(self, shard: Shard) -> None:
        try:
            if time.monotonic() - self._memory_seen > _MEMORY_EVERY:
                self._memory_seen, self._memory = time.monotonic(), self._link.memory_share()
            if self._memory < _CACHE_SHARE:
                self._link.cache(cacheable(shard), self._cache_ttl)
        except redis.RedisError as error:  # the cache may be full; rewards are safe
            log.warning("log-probs not cached: %s", error)

    def _renew(self) -> None:
        while True:
            time.sleep(_RENEW_EVERY)
            held = dict(self._held)
            if not self._progress.is_set() or not held:
                continue
            self._progress.clear()
            try:
                owed, front = self._link.renew([claim.shard for claim in held.values()])
            except redis.RedisError as error:
                log.warning("leases not renewed: %s", error)
                self._progress.set()
                continue
            with self._change:
                for key, claim in held.items():
                    if key not in self._held:
                        continue
                    if claim.shard not in owed:
                        self._lost.add(key)
                    elif unwanted := {member.job for member in claim.members} - owed[claim.shard]:
                        self._unwanted[key] = unwanted
                self._front_waits = front
                self._change.notify_all()
