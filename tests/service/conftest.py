"""A valkey-server alone, and the parts of a service on it, for tests that import one part directly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import redis.asyncio

from benchmarks.harness.stack import Stack
from tokenreward.protocol import keys
from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.spill import Spill
from tokenreward.protocol.worker_records import ModelRecord, WorkerRecord
from tokenreward.schema import Fingerprint, Item, JobOptions
from tokenreward_service.fleet import Fleet
from tokenreward_service.intake.pinning import plan
from tokenreward_service.store.adapters import Adapters
from tokenreward_service.store.drafts import Draft, Slice
from tokenreward_service.store.job_store import JobStore
from tokenreward_service.store.publishing import shards_of

T = TypeVar("T")

FINGERPRINT = Fingerprint(
    model="tiny", model_hash="m", tokenizer_hash="t", engine="synthetic", engine_version="1", dtype="float32"
)


@dataclass(frozen=True)
class Parts:
    """The parts of a service on an empty store, where one model has been served once."""

    redis: Any
    sync: Any
    store: JobStore
    fleet: Fleet
    scripts: Scripts
    adapters: Adapters

    async def draft(self, items: int = 1, fingerprint: Fingerprint = FINGERPRINT, fleet: Fleet | None = None) -> Draft:
        """A draft with one slice of so many items."""
        options = JobOptions(model=f"{fingerprint.model}@{fingerprint.digest}")
        draft = Draft(await plan(options, fleet or self.fleet, self.adapters), "owner", 3600)
        entries = [Entry(str(n), Item(prompt="p", response=f"r{n}")) for n in range(items)]
        await self.store.drafts.stage(draft, Slice(0, entries, 10 * items))
        return draft

    async def publish(self, items: int = 1) -> tuple[str, str]:
        """A job of one shard, published: its id, and the shard's."""
        draft = await self.draft(items)
        (shard,) = shards_of(draft)
        await self.store.publisher.publish([draft], [shard])
        return draft.id, shard.id

    async def claim(self, shard: str, worker: str, lease: float = 60) -> None:
        """Claim a shard as a worker does."""
        assert await self.scripts.claim(args=["", worker, lease, shard])

    async def register(self, fingerprint: Fingerprint, *, alive: bool = False) -> None:
        """Make a model known, with a live worker or without one."""
        model = ModelRecord(fingerprint=fingerprint, max_tokens=100, since=1.0)
        await self.redis.hset(keys.MODELS, fingerprint.digest, model.model_dump_json())
        if alive:
            now = time.time()
            worker = WorkerRecord(
                id="w",
                host="h",
                pid=1,
                fingerprint_digest=fingerprint.digest,
                model=fingerprint.model,
                engine=fingerprint.engine,
                started=now,
                seen=now,
            )
            await self.redis.set(keys.worker("w"), worker.model_dump_json())
            await self.redis.zadd(keys.WORKERS, {"w": now + 60})


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A valkey-server without a service and without workers."""
    with Stack(tmp_path_factory.mktemp("valkey")) as stack:
        yield stack


Scenario = Callable[[Parts], Awaitable[T]]


@pytest.fixture
def run(server: Stack) -> Callable[[Scenario[T]], T]:
    """Runs an async test on the parts of a service on an empty store."""

    async def connected(scenario: Scenario[T]) -> T:
        async with redis.asyncio.Redis.from_url(server.redis_url, socket_timeout=10) as client:
            await client.flushall()
            store = JobStore.on(client, server.redis, Spill(None, 1))
            parts = Parts(client, server.redis, store, Fleet(client), Scripts(client), Adapters(client))
            await parts.register(FINGERPRINT)
            return await scenario(parts)

    return lambda scenario: asyncio.run(connected(scenario))
