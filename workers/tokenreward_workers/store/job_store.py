"""A worker's side of the job store: claim, renew, commit and hand back shards, and keep log-probs.

Every call has a timeout and short retries. Commits are idempotent, so a retry of one that went through is harmless.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import redis
from pydantic import ValidationError
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from tokenreward.protocol import connections, doorbell, keys
from tokenreward.protocol.arrow_blobs import Entry, unpack_entries
from tokenreward.protocol.memory import store_share
from tokenreward.protocol.parts import Part, pack_part, unpack_part
from tokenreward.protocol.records import Claim, Corrupt, JobSlice, commit_args
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.spill import Spill
from tokenreward.protocol.worker_records import ModelRecord, connection_name

log = logging.getLogger(__name__)


class MemberOutcome(NamedTuple):
    """What is committed of one member of a shard.

    Attributes:
        member: The run of a job's items.
        failed: How many of its items have no reward.
        tokens: Plain tokens of its items.
        results: Its results, packed.
    """

    member: JobSlice
    failed: int
    tokens: int
    results: bytes


class Onward(NamedTuple):
    """A shard that goes on to another model.

    Attributes:
        shard: Its id.
        following: The digest of that model.
        parts: (job, index, part) of each item.
        front: Whether it is interactive work.
    """

    shard: str
    following: str
    parts: Sequence[tuple[str, int, Part]]
    front: bool = False


def connect(url: str, worker_id: str) -> Any:
    """Return a sync client whose connections carry the worker's name: the reconciler sees them end with the worker."""
    return connections.connect(
        url,
        max_connections=12,
        socket_timeout=30,
        socket_connect_timeout=3,
        health_check_interval=30,
        retry=Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.02), 12),
        client_name=connection_name(worker_id),
    )


class JobStoreClient:
    """One worker's calls to the job store. Threads may share it.

    Attributes:
        client: The Redis client.
        worker_id: Under which the worker claims.
        fingerprint: The digest of what it serves.
        lease_seconds: How long a claim holds without progress.
    """

    def __init__(self, client: Any, worker_id: str, fingerprint: str, spill: Spill, lease_seconds: float) -> None:
        self.client = client
        self.worker_id = worker_id
        self.fingerprint = fingerprint
        self.lease_seconds = lease_seconds
        self._spill = spill
        self._scripts = Scripts(client)

    def claim(self, count: int) -> list[Claim]:
        """Claim the next shards, `count` at most, in one round trip. One that cannot be read is left out."""
        with self.client.pipeline(transaction=False) as pipe:
            for _ in range(count):
                self._scripts.claim(args=[self.fingerprint, self.worker_id, self.lease_seconds, ""], client=pipe)
            texts = pipe.execute(raise_on_error=False)
        return [claim for text in texts if (claim := self._claim(text)) is not None]

    def _claim(self, text: Any) -> Claim | None:
        if isinstance(text, redis.ResponseError):  # its record is not what this version writes
            log.error("a shard cannot be claimed: %s", text)
            return None
        if isinstance(text, Exception):
            raise text
        try:
            return Claim.parse(text) if text else None
        except Corrupt as error:
            log.error("%s", error)
            return None

    def drop_stale_doorbells(self, queue: str) -> None:
        """Take doorbells off the head of a queue that ring for nothing."""
        self._scripts.drop_stale_doorbells(args=[queue, self.fingerprint])

    def mark_scoring(self, shard: str) -> None:
        """Say which suspect the engine is at, or none: should the worker die, it is the one to blame."""
        self._scripts.mark_scoring(args=[self.worker_id, shard])

    def stored_entries(self, members: Sequence[JobSlice]) -> list[bytes | None]:
        """Fetch what is stored of each member's items, in one round trip; None for a job that is gone."""
        with self.client.pipeline(transaction=False) as pipe:
            for member in members:
                pipe.hget(keys.items(member.job), member.slice)
            stored: list[bytes | None] = pipe.execute()
        return stored

    def entries(self, member: JobSlice, stored: bytes | None) -> list[Entry]:
        """Read a member's entries out of what is stored.

        Raises:
            Corrupt: They are gone, or not what this version writes.
            BlobsAway: The blob store cannot be used now.
            NoBlobStore: They were spilled, and this worker has no blob store.
        """
        if stored is None:
            raise Corrupt(f"the items of job {member.job} are gone")
        return unpack_entries(self._spill.load(stored), member.offset, member.count)

    def renew(self, shards: Sequence[str]) -> tuple[dict[str, set[str]], bool]:
        """Extend the leases of shards.

        Returns:
            The jobs that wait for each shard that is still held, and whether work waits that should overtake them.
        """
        told = json.loads(self._scripts.renew(args=[self.worker_id, self.lease_seconds, self.fingerprint, *shards]))
        return {shard: set(jobs) for shard, jobs in told["owed"].items()}, told["overtakes"]

    def commit(self, shards: Sequence[tuple[str, Sequence[MemberOutcome]]]) -> list[bool | Exception]:
        """Commit shards, by their ids, in one round trip.

        Returns:
            For each, whether this was the first commit, or why Redis refused it.

        Raises:
            BlobsAway: The blob store cannot be used now; nothing was committed.
        """
        stored = [(shard, [self._spilled(outcome) for outcome in outcomes]) for shard, outcomes in shards]
        with self.client.pipeline(transaction=False) as pipe:
            for shard, outcomes in stored:
                self._scripts.commit(args=commit_args(shard, outcomes), client=pipe)
            told = pipe.execute(raise_on_error=False)
        return [answer if isinstance(answer, Exception) else answer == 1 for answer in told]

    def pass_on(self, shards: Sequence[Onward]) -> list[bool]:
        """Hand shards to the workers of other models, in one transaction.

        Passing a shard on a second time changes nothing.

        Returns:
            For each, whether it was still at this model.
        """
        with self.client.pipeline(transaction=True) as pipe:
            for onward in shards:
                args: list[Any] = [onward.shard, self.fingerprint, onward.following]
                for job, index, part in onward.parts:
                    args += [job, index, pack_part(part)]
                self._scripts.pass_on(args=args, client=pipe)
            for onward in shards:  # should a script decline, its doorbell rings for nothing
                doorbell.ring(onward.following, [onward.shard], self.client, pipe, front=onward.front)
            told = pipe.execute()
        return [answer == 1 for answer in told[: len(shards)]]

    def parts(self, member: JobSlice) -> dict[int, Part]:
        """Fetch what other models said of a member's items, by the item's index; items without any are left out."""
        places = range(member.start, member.start + member.count)
        stored = self.client.hmget(keys.parts(member.job), list(places))
        found: dict[int, Part] = {}
        for place, data in zip(places, stored, strict=True):
            try:
                found |= {place: unpack_part(data)} if data is not None else {}
            except Corrupt as error:
                log.error("item %d of job %s: %s", place, member.job, error)
        return found

    def _spilled(self, outcome: MemberOutcome) -> MemberOutcome:
        return outcome._replace(results=self._spill.store(outcome.member.job, outcome.results, self.client))

    def hand_back(self, shard: str) -> None:
        """Put a shard back to the front of the queue, without an attempt on its record."""
        if self._scripts.requeue(args=[shard, self.worker_id, 0]):
            with self.client.pipeline(transaction=True) as pipe:
                doorbell.ring(self.fingerprint, [shard], self.client, pipe, front=True)
                pipe.execute()

    def cached(self, hashes: Sequence[str]) -> list[bytes | None]:
        """Fetch log-probs from the cache, float32 as bytes; None for each that is not there."""
        found: list[bytes | None] = self.client.mget([keys.cached(self.fingerprint, h) for h in hashes])
        return found

    def memory_share(self) -> float:
        """Return the share of the memory that the job store may use which is in use; 0 where it has no limit."""
        return store_share(self.client)

    def cache(self, values: Iterable[tuple[str, bytes]], ttl: int) -> None:
        """Keep (hash, log-probs) pairs for `ttl` seconds."""
        with self.client.pipeline(transaction=False) as pipe:
            for content_hash, value in values:
                pipe.set(keys.cached(self.fingerprint, content_hash), value, ex=ttl)
            pipe.execute()

    def register(self, model: ModelRecord) -> None:
        """Make the model known as this worker has it; when it was first seen stays as it is."""
        digest = model.fingerprint.digest
        with contextlib.suppress(ValidationError):  # a record that cannot be read is replaced
            if (known := self.client.hget(keys.MODELS, digest)) is not None:
                model = model.model_copy(update={"since": ModelRecord.model_validate_json(known).since})
        self.client.hset(keys.MODELS, digest, model.model_dump_json())
