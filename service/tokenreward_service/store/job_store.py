"""The parts of the job store together, and the operations that need several of them: cancel, empty and purge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.spill import Spill
from tokenreward.schema import Job
from tokenreward_service.store.drafts import Drafts
from tokenreward_service.store.payloads import Payloads
from tokenreward_service.store.publishing import Publisher
from tokenreward_service.store.replicas import Replicas
from tokenreward_service.store.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class JobStore:
    """The job store of one Redis.

    Attributes:
        drafts: Jobs that are being taken in.
        publisher: Makes drafts visible, and queues failed items again.
        snapshots: What a job looks like from outside.
        payloads: Items and results.
        replicas: Waits until they have a job.
        scripts: The Lua scripts, on the async client.
    """

    drafts: Drafts
    publisher: Publisher
    snapshots: Snapshots
    payloads: Payloads
    replicas: Replicas
    scripts: Scripts

    @classmethod
    def on(cls, redis: Any, sync: Any, spill: Spill, *, behind_sentinels: bool = False) -> JobStore:
        """The store on two clients of one server.

        Args:
            redis: Async client.
            sync: Sync client, for transactions that ring doorbells: RQ is synchronous.
            spill: Where large payloads go.
            behind_sentinels: Whether the server may have replicas, one of which would take over.
        """
        payloads = Payloads(redis, sync, spill)
        return cls(
            drafts=Drafts(redis, payloads),
            publisher=Publisher(sync, spill),
            snapshots=Snapshots(redis),
            payloads=payloads,
            replicas=Replicas(redis, behind_sentinels),
            scripts=Scripts(redis),
        )

    async def cancel(self, job_id: str) -> bool:
        """End a job early; finished items keep their results. Returns whether it was still queued or running."""
        return bool(await self.scripts.cancel(args=[job_id]) == 1)

    async def empty(self, job: Job) -> bool:
        """Remove the items and results of a job that is over, and keep its record. Returns whether it is over."""
        owner = await self.snapshots.owner(job.id)
        run = job.origin.run if job.origin else None
        if not await self.scripts.empty(args=[job.id, owner, run or ""]):
            return False
        await self.payloads.forget(job.id)
        return True

    async def withdraw(self, job_id: str, owner: str) -> None:
        """Remove a job that was published here and must not be done, as nobody is told of it."""
        await self.publisher.withdraw(job_id, owner)
        await self.payloads.forget(job_id)

    async def purge(self, job_id: str) -> None:
        """Remove a job with its items, its results and what was spilled for it."""
        await self.scripts.purge(args=[job_id, await self.snapshots.owner(job_id)])
        await self.payloads.forget(job_id)
