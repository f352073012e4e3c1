"""A worker's side of Redis: claim, renew, commit, hand back, and the record that says it is alive.

Every call has a timeout and short retries. Commits are idempotent, so a retry of one that went through is harmless.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from tokenreward.protocol import doorbell, keys
from tokenreward.protocol.arrow_blobs import Entry, unpack_entries
from tokenreward.protocol.memory import store_share
from tokenreward.protocol.records import Claim, Corrupt, JobSlice, commit_args
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.spill import Spill
from tokenreward.protocol.worker_records import ModelRecord, connection_name

log = logging.getLogger(__name__)


def connect(url: str, worker_id: str) -> Any:
    """A sync client whose connections carry the worker's name: the reconciler sees them vanish with the worker."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=12,
        timeout=20,
        socket_timeout=30,
        socket_connect_timeout=3,
        health_check_interval=30,
        retry=Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.02), 12),
        client_name=connection_name(worker_id),
    )
    return redis.Redis(connection_pool=pool)


class JobStoreClient:
    def __init__(self, client: Any, worker_id: str, fingerprint: str, spill: Spill, lease_seconds: float) -> None:
        self.client = client
        self.worker_id = worker_id
        self.fingerprint = fingerprint
        self.lease_seconds = lease_seconds
        self._spill = spill
        self._scripts = Scripts(client)

    def claim(self, shard: str) -> Claim | None:
        """The shard's work, or None if there is nothing to do for it. Raises Corrupt."""
        text = self._scripts.claim(args=[shard, self.worker_id, self.lease_seconds])
        return Claim.parse(shard, text) if text else None

    def drop_stale_doorbells(self, queue: str) -> None:
        """Take doorbells off the head of a queue that ring for nothing."""
        self._scripts.drop_stale_doorbells(args=[queue])

    def mark_scoring(self, shard: str) -> None:
        """Say which shard the engine is at: should the worker die, it is the one to blame."""
        self._scripts.mark_scoring(args=[self.worker_id, shard])

    def entries(self, members: Sequence[JobSlice]) -> list[list[Entry]]:
        """The entries behind each member. Raises Corrupt, BlobsAway, NoBlobStore."""
        with self.client.pipeline(transaction=False) as pipe:
            for member in members:
                pipe.hget(keys.items(member.job), member.slice)
            stored = pipe.execute()
        found = []
        for member, blob in zip(members, stored, strict=True):
            if blob is None:
                raise Corrupt(f"the items of job {member.job} are gone")
            found.append(unpack_entries(self._spill.load(blob), member.offset, member.count))
        return found

    def renew(self, shards: Sequence[str]) -> tuple[dict[str, set[str]], bool]:
        """Extend the leases: (the jobs that wait for each shard still held, whether interactive work waits)."""
        told = json.loads(self._scripts.renew(args=[self.worker_id, self.lease_seconds, self.fingerprint, *shards]))
        return {shard: set(jobs) for shard, jobs in told["owed"].items()}, told["front"] > 0

    def commit(self, shard: str, outcomes: Sequence[tuple[JobSlice, int, int, bytes]]) -> bool:
        """(member, failed items, tokens, results) each; False if somebody else had committed the shard.

        Raises BlobsAway.
        """
        stored = [
            (m, failed, tokens, self._spill.store(m.job, blob, self.client)) for m, failed, tokens, blob in outcomes
        ]
        return bool(self._scripts.commit(args=commit_args(shard, stored)) == 1)

    def hand_back(self, shard: str) -> None:
        """Unharmed, to the front of the queue."""
        if self._scripts.requeue(args=[shard, self.worker_id, 0]):
            with self.client.pipeline(transaction=True) as pipe:
                doorbell.ring(self.fingerprint, [shard], self.client, pipe, front=True)
                pipe.execute()

    def cached(self, hashes: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = self.client.mget([keys.cached(self.fingerprint, h) for h in hashes])
        return found

    def memory_share(self) -> float:
        """Share of the memory that the job store may use which is in use; 0 where it has no limit."""
        return store_share(self.client)

    def cache(self, values: Iterable[tuple[str, bytes]], ttl: int) -> None:
        with self.client.pipeline(transaction=False) as pipe:
            for content_hash, value in values:
                pipe.set(keys.cached(self.fingerprint, content_hash), value, ex=ttl)
            pipe.execute()

    def register(self, model: ModelRecord) -> None:
        """Make the model known; when it was first seen stays as it is."""
        self.client.hsetnx(keys.MODELS, model.fingerprint.digest, model.model_dump_json())
