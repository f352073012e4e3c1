"""What can be asked for: live and past models, and a request's options resolved into what a job is pinned to."""

from __future__ import annotations

import logging
import time
from typing import Any

from tokenreward import estimators, templates
from tokenreward.errors import UnknownName
from tokenreward.protocol import keys
from tokenreward.protocol.records import Corrupt, ScoringOptions, parse_record
from tokenreward.protocol.worker_records import ModelRecord, WorkerRecord
from tokenreward.schema import JobOptions, ModelInfo, Provenance
from tokenreward_service.intake.options import _choose, _unprocessable
from tokenreward_service.store.drafts import Plan
from tokenreward_service.version import VERSION

log = logging.getLogger(__name__)

_FRESH_SECONDS = 1.0


class Fleet:
    """Reads what workers publish of themselves."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._seen: tuple[float, list[ModelInfo], list[WorkerRecord]] = (0.0, [], [])

    async def workers(self) -> list[WorkerRecord]:
        """Live workers, oldest first."""
        # Whose record is there is alive. When it expires is Redis' to say: no two hosts agree on the time.
        names = await self._redis.zrange(keys.WORKERS, 0, -1)
        if not names:
            return []
        texts = await self._redis.mget([keys.worker(name.decode("utf-8", "replace")) for name in names])
        found = [record for text in texts if text and (record := _readable(WorkerRecord, text))]
        return sorted(found, key=lambda record: record.started)

    async def models(self) -> list[ModelInfo]:
        """Models with live workers first, then those that were served once; newest first within each."""
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
        self._seen = (time.monotonic(), infos, workers)
        return infos

    async def _recent(self, model: str | None) -> tuple[list[ModelInfo], list[WorkerRecord]]:
        """What was seen within the last second, unless the model asked for was not alive then."""
        at, infos, _ = self._seen
        live = [info for info in infos if info.workers and model in (None, info.name)]
        if time.monotonic() - at > _FRESH_SECONDS or not live:
            await self.models()
        return self._seen[1], self._seen[2]

    async def plan(self, options: JobOptions) -> Plan:
        """Resolve `options`. Raises ProblemError: 422 for a name nobody knows, 503 if no model was ever served."""
        try:
            template = templates.resolve(options.template)
        except UnknownName as error:
            raise _unprocessable("/template", str(error)) from error
        try:
            estimator = estimators.resolve(options.estimator)
        except UnknownName as error:
            raise _unprocessable("/estimator", str(error)) from error
        missing = [branch for branch in estimator.branches if branch not in template.branches]
        if missing:
            has = ", ".join(template.branches)
            detail = f"estimator {estimator.name!r} needs branch {missing[0]!r}; template {template.name!r} has: {has}"
            raise _unprocessable("/template", detail)
        models, workers = await self._recent(options.model)
        model = _choose(options.model, models)
        provenance = Provenance(
            fingerprint=model.fingerprint,
            fingerprint_digest=model.fingerprint_digest,
            template=template.name,
            template_hash=template.hash,
            estimator=estimator.name,
            estimator_hash=estimator.hash,
            tokenreward_version=VERSION,
        )
        speeds = [
            worker.tokens_per_second
            for worker in workers
            if worker.fingerprint_digest == model.fingerprint_digest and worker.tokens_per_second
        ]
        return Plan(
            options=options,
            scoring=ScoringOptions(
                template=template, estimator=estimator.name, include=options.include, provenance=provenance
            ),
            live=model.workers > 0,
            speed=min(speeds) if speeds else None,
        )


def _readable(kind: Any, text: bytes) -> Any:
    try:
        return parse_record(kind, text)
    except Corrupt as error:
        log.warning("%s", error)
        return None
