"""Makes jobs visible: their records, their shards and the doorbells in one transaction.

RQ, whose doorbells belong into that transaction, is synchronous; so publishing runs in a thread, on a sync client.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anyio.to_thread

from tokenreward.protocol import doorbell, keys
from tokenreward.protocol.arrow_blobs import pack_failures
from tokenreward.protocol.records import JobSlice, ScoringOptions, Shard, dump_shards, stored
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.spill import Spill
from tokenreward.schema import Job
from tokenreward_service.store.drafts import Draft

#: Shards that one call of the queue script gets.
_SHARDS_AT_ONCE = 1000


class Publisher:
    """Publishes drafts and retries.

    Args:
        sync: Sync client of the store's Redis.
        spill: Where large payloads go.
    """

    def __init__(self, sync: Any, spill: Spill) -> None:
        self._sync = sync
        self._spill = spill
        self._scripts = Scripts(sync)

    async def publish(self, drafts: Sequence[Draft], shards: Sequence[Shard]) -> None:
        """Publish jobs, their shards and the doorbells in one transaction, which is on disk when this returns.

        A draft of which slices are missing is `lost` afterwards, and no job.
        """
        await anyio.to_thread.run_sync(self._publish, drafts, shards)

    async def withdraw(self, job_id: str, owner: str) -> None:
        """Remove a job that this client published. Another client may be with the former primary for a moment."""
        await anyio.to_thread.run_sync(lambda: self._scripts.purge(args=[job_id, owner]))

    async def requeue_failed(self, args: Sequence[Any], shards: Sequence[Shard]) -> bool:
        """Run the retry script and ring for its shards.

        Args:
            args: The arguments of `retry.lua`.
            shards: The shards among them.

        Returns:
            Whether the job was still at the version that the arguments name.
        """
        return await anyio.to_thread.run_sync(self._run_and_ring, self._scripts.retry, args, shards)

    async def pin_anew(self, job: Job, options: ScoringOptions, shards: Sequence[Shard]) -> bool:
        """Run the script that pins a job to another set-up, and ring for its shards.

        Args:
            job: What the job was when `shards` were made.
            options: Its options, with the provenance that it gets.
            shards: Shards for all of its items.

        Returns:
            Whether it was pinned; False if it has rewards, has ended, is gone, or is pinned otherwise by now.
        """
        pinned = options.provenance.fingerprint_digest  # the first shards may be for another model of the job
        old = job.provenance.fingerprint_digest
        args = [job.id, old, pinned, stored(options), dump_shards(shards), job.state]
        return await anyio.to_thread.run_sync(self._run_and_ring, self._scripts.pin_anew, args, shards)

    def _publish(self, drafts: Sequence[Draft], shards: Sequence[Shard]) -> None:
        published: list[int] = []
        with self._sync.pipeline(transaction=True) as pipe:
            for draft in drafts:
                slices = draft.staged + len(draft.held)
                args: list[Any] = [draft.id, json.dumps(draft.record), draft.owner, slices]
                for piece in draft.hopeless:
                    blob = self._spill.store(draft.id, pack_failures(piece.start, piece.entries), self._sync)
                    args += [piece.start, len(piece.entries), blob]
                if draft.held:
                    pipe.hset(keys.items(draft.id), mapping=draft.held)
                if draft.idempotency:
                    pipe.set(*draft.idempotency)
                published.append(len(pipe))
                self._scripts.publish(args=args, client=pipe)
            for i in range(0, len(shards), _SHARDS_AT_ONCE):
                self._scripts.queue(args=[dump_shards(shards[i : i + _SHARDS_AT_ONCE])], client=pipe)
            self._ring(shards, pipe)
            told = pipe.execute()
        for draft, place in zip(drafts, published, strict=True):
            draft.lost = told[place] == -1

    def _run_and_ring(self, script: Any, args: Sequence[Any], shards: Sequence[Shard]) -> bool:
        with self._sync.pipeline(transaction=True) as pipe:
            script(args=args, client=pipe)
            # Should the script decline, these ring for shards that do not exist: a claim then finds nothing.
            self._ring(shards, pipe)
            return bool(pipe.execute()[0] == 1)

    def _ring(self, shards: Sequence[Shard], pipe: Any) -> None:
        for fingerprint in {shard.fp for shard in shards}:
            for front in (False, True):
                ids = [shard.id for shard in shards if shard.fp == fingerprint and shard.front == front]
                doorbell.ring(fingerprint, ids, self._sync, pipe, front=front)


def shards_of(draft: Draft, *, front: bool = False) -> list[Shard]:
    """One shard for each slice of the draft that has work in it. front: they overtake what waits."""
    return [
        Shard(
            fp=draft.plan.stages[0],
            members=[JobSlice(job=draft.id, slice=start, offset=0, count=count)],
            estimated=estimated,
            front=front,
        )
        for start, count, estimated in draft.slices
    ]
