"""What workers publish of themselves in Redis: the live workers, and the models that are or were served."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from tokenreward.protocol import keys
from tokenreward.protocol.records import Corrupt, parse_record
from tokenreward.protocol.worker_records import ModelRecord, WorkerRecord
from tokenreward.schema import Fingerprint, ModelInfo

log = logging.getLogger(__name__)

_FRESH_SECONDS = 1.0
#: Stands in the fingerprint of a declared model for what only its first worker will know.
_AWAITED = "awaited"

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
    """Reads models and workers.

    Args:
        redis: Async client.
        declared: Names of models that may be asked for before anybody has served them.
    """

    def __init__(self, redis: Any, declared: Sequence[str] = ()) -> None:
        self._redis = redis
        self._declared = declared
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
                lacks=record.lacks,
            )
            for record in sorted(records, key=lambda record: record.since, reverse=True)
        ]
        infos.sort(key=lambda info: info.workers == 0)
        known = {info.name for info in infos}
        infos += [awaited(name) for name in self._declared if name not in known]
        self._seen = FleetView(infos, workers, time.monotonic())
        return self._seen

    async def recent(self, model: str | None) -> FleetView:
        """The last look, if it is at most a second old and `model` (None: any) was alive in it; else a new one."""
        live = [info for info in self._seen.models if info.workers and model in (None, info.name)]
        if time.monotonic() - self._seen.at > _FRESH_SECONDS or not live:
            return await self.look()
        return self._seen


def awaited(name: str) -> ModelInfo:
    """A model that nobody has served yet. A job for it is pinned anew once somebody does (`recovery/first_worker`).

    Args:
        name: The name that clients ask for.
    """
    fingerprint = Fingerprint(
        model=name, model_hash=_AWAITED, tokenizer_hash=_AWAITED, engine=_AWAITED, engine_version="", dtype=""
    )
    return ModelInfo(name=name, fingerprint=fingerprint, fingerprint_digest=fingerprint.digest, workers=0, max_tokens=0)


def is_awaited(fingerprint: Fingerprint) -> bool:
    """Whether a fingerprint stands for a model that nobody had served when the job was made."""
    return fingerprint.engine == _AWAITED


def _readable(kind: type[R], text: bytes) -> R | None:
    try:
        return parse_record(kind, text)
    except Corrupt as error:
        log.warning("%s", error)
        return None
