"""What workers publish of themselves in Redis: the live workers, and the models that are or were served."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from tokenreward.protocol import keys
from tokenreward.protocol.records import Corrupt, parse_record
from tokenreward.protocol.worker_records import ModelRecord, WorkerRecord
from tokenreward.schema import ModelInfo

log = logging.getLogger(__name__)

_FRESH_SECONDS = 1.0

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FleetView:
    """One look at the fleet.

    Attributes:
        models: Those with live workers first, newest first within each half.
        workers: Live workers, oldest first.
        at: When it was taken, by the monotonic clock.
    """

    models: list[ModelInfo] = field(default_factory=list)
    workers: list[WorkerRecord] = field(default_factory=list)
    at: float = 0.0


class Fleet:
    """Reads models and workers. redis: async client."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._seen = FleetView()

    async def workers(self) -> list[WorkerRecord]:
        """Live workers, oldest first."""
        # A worker is alive while its record is there. Redis decides when that expires: no two hosts agree on the time.
        names = await self._redis.zrange(keys.WORKERS, 0, -1)
        if not names:
            return []
        texts = await self._redis.mget([keys.worker(name.decode("utf-8", "replace")) for name in names])
        found = [record for text in texts if text and (record := _readable(WorkerRecord, text))]
        return sorted(found, key=lambda record: record.started)

    async def models(self) -> list[ModelInfo]:
        """Models with live workers first, then those that were served once; newest first within each."""
        return (await self.look()).models

    async def look(self) -> FleetView:
        """Models and workers as they are now."""
        workers = await self.workers()
        alive = [worker.fingerprint_digest for worker in workers]
        records = [
            record
            for name, text in (await self._redis.hgetall(keys.MODELS)).items()
            if (record := _readable(ModelRecord, text)) and record.fingerprint.digest.encode() == name
        ]
        infos = [
            ModelInfo(
                name=record.fingerprint.model,
                fingerprint=record.fingerprint,
                fingerprint_digest=record.fingerprint.digest,
                workers=alive.count(record.fingerprint.digest),
                max_tokens=record.max_tokens,
            )
            for record in sorted(records, key=lambda record: record.since, reverse=True)
        ]
        infos.sort(key=lambda info: info.workers == 0)
        self._seen = FleetView(infos, workers, time.monotonic())
        return self._seen

    async def recent(self, model: str | None) -> FleetView:
        """The last look, if it is at most a second old and `model` (None: any) was alive in it; else a new one."""
        live = [info for info in self._seen.models if info.workers and model in (None, info.name)]
        if time.monotonic() - self._seen.at > _FRESH_SECONDS or not live:
            return await self.look()
        return self._seen


def _readable(kind: type[R], text: bytes) -> R | None:
    try:
        return parse_record(kind, text)
    except Corrupt as error:
        log.warning("%s", error)
        return None
