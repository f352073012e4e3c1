"""Many simulated GPU workers in one process, for `scale.py`:  python benchmarks/_simulated_gpus.py REDIS_URL COUNT

Of a worker everything that Redis and the API can notice is real: its named connections, the doorbells it answers, the
claim, the items fetched, leases renewed twice a second, the record that says it lives, results of the real layout and
size committed by the real script, and one shard fetched ahead while another is in the engine. Simulated is what happens
on the GPU's host alone: the engine sleeps for the time its items take, no text is parsed, rendered or tokenized, and
rewards are random numbers (which compress worst). RQ's own heartbeat (a few commands a minute) is left out.

Engine time that passes because this process was late counts as idle. A line of JSON on standard output every half a
second says how much was done; the clock is CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import redis.asyncio
from redis.exceptions import RedisError

from tokenreward.protocol import doorbell, keys
from tokenreward.protocol.arrow_blobs import RESULTS_SCHEMA, pack_table, unpack_ids
from tokenreward.protocol.records import Claim, JobSlice, commit_args
from tokenreward.protocol.scripts import Scripts
from tokenreward.protocol.spill import Spill
from tokenreward.protocol.worker_records import ModelRecord, WorkerRecord, connection_name
from tokenreward.schema import Fingerprint
from tokenreward_workers.process.startup import load
from tokenreward_workers.settings import WorkerSettings

MODEL = "simulated-8b"
#: What 40,000 processed tokens a second give for responses of 300 tokens under two prompts of some 250.
RESPONSES_PER_SECOND = 36.0
TOKENS_PER_SECOND = 40_000.0
RESPONSE_TOKENS = 300
_LEASE_SECONDS = 20
_RECORD_EVERY, _RECORD_TTL, _RENEW_EVERY = 2.0, 15, 0.5


@dataclass
class Work:
    """A claimed shard. items: of each member; ids: theirs."""

    claim: Claim
    ids: list[list[str | None]]

    @property
    def items(self) -> int:
        return sum(map(len, self.ids))


@dataclass
class Gpu:
    """One worker with one engine. busy: seconds of engine time of finished shards."""

    url: str
    identity: Fingerprint
    id: str = field(default_factory=lambda: uuid4().hex[:12])
    busy: float = 0.0
    shards: int = 0
    items: int = 0
    _now: tuple[float, float] = (0.0, 0.0)  # the shard in the engine: when it began, seconds it takes
    _held: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options: dict[str, Any] = {"client_name": connection_name(self.id), "socket_timeout": 30}
        # Waiting for a doorbell takes a connection of its own.
        self.waiting = redis.asyncio.Redis.from_url(self.url, **options)
        self.redis = redis.asyncio.Redis.from_url(self.url, **options)
        self.scripts = Scripts(self.redis)
        self.spill = Spill(None, 1)
        self.ready: asyncio.Queue[Work] = asyncio.Queue()
        self.room = asyncio.Semaphore(1)  # one shard waits for the engine
        self.started = time.time()

    def engine_seconds(self, now: float) -> float:
        """Engine time so far, the shard at hand included."""
        begun, takes = self._now
        return self.busy + min(max(now - begun, 0.0), takes)

    async def run(self) -> None:
        await self.redis.hsetnx(
            keys.MODELS,
            self.identity.digest,
            ModelRecord(fingerprint=self.identity, max_tokens=32_768, since=time.time()).model_dump_json(),
        )
        await asyncio.gather(self._claim(), self._score(), self._renew(), self._pulse())

    async def _claim(self) -> None:
        name = f"rq:queue:{doorbell.queue_name(self.identity.digest)}"
        while True:
            await self.room.acquire()
            while (rung := await self.waiting.blmove(name, name + ":intermediate", 10, "LEFT", "RIGHT")) is None:
                pass
            bell = rung.decode()
            text = await self.scripts.claim(args=[self.identity.digest, self.id, _LEASE_SECONDS, ""])
            async with self.redis.pipeline(transaction=False) as pipe:
                pipe.lrem(name + ":intermediate", 1, bell)
                pipe.delete(f"rq:job:{bell}")
                await pipe.execute()
            if not text:
                self.room.release()
                continue
            claim = Claim.parse(text)
            self._held[claim.shard] = None
            self.ready.put_nowait(Work(claim, [await self._ids(member) for member in claim.members]))

    async def _ids(self, member: JobSlice) -> list[str | None]:
        stored = await self.redis.hget(keys.items(member.job), member.slice)
        return unpack_ids(self.spill.load(stored))[member.offset : member.offset + member.count]

    async def _score(self) -> None:
        commits: set[asyncio.Task[None]] = set()
        while True:
            work = await self.ready.get()
            self.room.release()
            takes = work.items / RESPONSES_PER_SECOND
            self._now = (time.monotonic(), takes)
            await asyncio.sleep(takes)
            self.busy += takes
            self._now = (0.0, 0.0)
            commits.add(task := asyncio.create_task(self._commit(work)))
            task.add_done_callback(commits.discard)

    async def _commit(self, work: Work) -> None:
        outcomes = []
        for member, ids in zip(work.claim.members, work.ids, strict=True):
            blob = self.spill.store(member.job, _results(member.start, ids), self.redis)  # nothing is spilled
            outcomes.append((member, 0, round(len(ids) * TOKENS_PER_SECOND / RESPONSES_PER_SECOND), blob))
        assert await self.scripts.commit(args=commit_args(work.claim.shard, outcomes)) == 1
        del self._held[work.claim.shard]
        self.shards += 1
        self.items += work.items

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_EVERY)
            if self._held:
                await self.scripts.renew(args=[self.id, _LEASE_SECONDS, self.identity.digest, *self._held])

    async def _pulse(self) -> None:
        while True:
            record = WorkerRecord(
                id=self.id,
                host=socket.gethostname(),
                pid=os.getpid(),
                fingerprint_digest=self.identity.digest,
                model=self.identity.model,
                engine=self.identity.engine,
                started=self.started,
                seen=time.time(),
                shards=list(self._held),
                shards_done=self.shards,
                items_done=self.items,
                tokens_per_second=TOKENS_PER_SECOND,
                busy_seconds=self.busy,
            )
            async with self.redis.pipeline(transaction=True) as pipe:
                pipe.set(keys.worker(self.id), record.model_dump_json(), ex=_RECORD_TTL)
                pipe.zadd(keys.WORKERS, {self.id: time.time() + _RECORD_TTL})
                pipe.zremrangebyscore(keys.WORKERS, "-inf", time.time() - 600)
                await pipe.execute()
            await asyncio.sleep(_RECORD_EVERY)


_CHANCE = np.random.default_rng(0)
_POOL = 1 << 20
_IDS = _CHANCE.integers(0, 128_256, _POOL, dtype=np.int32)
_REWARDS = (_CHANCE.random(_POOL, dtype=np.float32) - np.float32(0.5)).astype(np.float32)


def _results(start: int, ids: list[str | None]) -> bytes:
    """A blob of results like a worker's, 300 tokens each."""
    count = len(ids)
    tokens = count * RESPONSE_TOKENS
    at = int(_CHANCE.integers(0, _POOL - tokens))
    offsets = pa.array(np.arange(0, tokens + 1, RESPONSE_TOKENS, dtype=np.int32))
    columns = {
        "index": pa.array(np.arange(start, start + count)),
        "id": pa.array(ids, pa.string()),
        "token_ids": pa.ListArray.from_arrays(offsets, pa.array(_IDS[at : at + tokens])),
        "rewards": pa.ListArray.from_arrays(offsets, pa.array(_REWARDS[at : at + tokens])),
    }
    arrays = [columns.get(f.name) for f in RESULTS_SCHEMA]
    filled = [pa.nulls(count, f.type) if a is None else a for f, a in zip(RESULTS_SCHEMA, arrays, strict=True)]
    return pack_table(pa.Table.from_arrays(filled, schema=RESULTS_SCHEMA))


async def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    identity = load(WorkerSettings(engine="synthetic", model_name=MODEL)).fingerprint
    gpus = [Gpu(url, identity) for _ in range(count)]
    tasks = [asyncio.create_task(gpu.run()) for gpu in gpus]
    while True:
        for task in tasks:
            if task.done():
                task.result()
        now = time.monotonic()
        said = {
            "at": now,
            "busy": sum(gpu.engine_seconds(now) for gpu in gpus),
            "items": sum(gpu.items for gpu in gpus),
            "shards": sum(gpu.shards for gpu in gpus),
        }
        print(json.dumps(said), flush=True)
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (RedisError, KeyboardInterrupt) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
