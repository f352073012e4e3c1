"""Keeps the leases of the shards that a worker holds, but only while its engine makes progress.

An engine that hangs loses its shards, whatever else in the process is alive.
"""

from __future__ import annotations

import logging
import time

import redis

from tokenreward_workers.shards.claim_ahead import ClaimAhead
from tokenreward_workers.shards.held_shards import HeldShards
from tokenreward_workers.shards.scoring_stream import ScoringStream
from tokenreward_workers.store.job_store import JobStoreClient

log = logging.getLogger(__name__)

_RENEW_EVERY = 0.5


class Leases:
    """Renews leases, and hears meanwhile which shards and jobs are not wanted any more."""

    def __init__(self, store: JobStoreClient, held: HeldShards, stream: ScoringStream, ahead: ClaimAhead) -> None:
        self._store = store
        self._held = held
        self._stream = stream
        self._ahead = ahead

    def run(self) -> None:
        """Renew twice a second, for ever."""
        while True:
            time.sleep(_RENEW_EVERY)
            self.renew()

    def renew(self) -> None:
        """Renew every lease once, if the engine showed progress since the last time."""
        shards = self._held.all()
        if not shards or not self._stream.progress.is_set():
            return
        self._stream.progress.clear()
        try:
            owed, overtakes = self._store.renew([shard.id for shard in shards])
        except redis.RedisError as error:
            log.warning("leases not renewed: %s", error)
            self._stream.progress.set()
            return
        for shard in shards:
            with self._held.changed:
                if shard.id not in owed:
                    shard.lost = True
                else:
                    shard.unwanted = frozenset(m.job for m in shard.claim.members if m.job not in owed[shard.id])
                gone = shard.lost or bool(shard.unwanted)
            if gone:
                self._stream.withdraw(shard)
        with self._held.changed:
            self._ahead.overtakes = overtakes
            self._held.changed.notify_all()
