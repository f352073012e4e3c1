"""What a job looks like from outside: one snapshot, and pages of an owner's jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from tokenreward.protocol import keys
from tokenreward.protocol.records import Corrupt, ScoringOptions, parse_options, parse_record
from tokenreward.schema import Job, JobState, Origin
from tokenreward_service.fleet import Fleet
from tokenreward_service.store.unserved import waiting

#: Names that are read from an owner's list at once.
_LISTED = 500


class Snapshots:
    """Reads snapshots of jobs. redis: async client."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._fleet = Fleet(redis)

    async def get(self, job_id: str, owner: str | None = None) -> Job | None:
        """The snapshot of a job.

        Args:
            job_id: Any text; what is not a job's id names no job.
            owner: Whose job it has to be; None for anybody's.

        Returns:
            None if there is no such job of that owner.

        Raises:
            Corrupt: The job's record cannot be read.
        """
        if not keys.is_job_id(job_id):  # `{id}:items` would name another key of that job
            return None
        fields = await self._redis.hgetall(keys.job(job_id))
        if not fields or (owner is not None and fields.get(b"owner") != owner.encode()):
            return None
        job = _snapshot(job_id, fields)
        if job.state.terminal:
            return job
        return job.model_copy(update={"waiting": waiting(job, await self._fleet.recent(None))})

    async def options(self, job_id: str) -> ScoringOptions | None:
        """What a worker has to know of a job; None if there is no such job. Raises Corrupt."""
        text = await self._redis.hget(keys.job(job_id), "options")
        return None if text is None else parse_record(ScoringOptions, text)

    async def owner(self, job_id: str) -> str:
        """The owner of a job; empty if there is no such job."""
        return ((await self._redis.hget(keys.job(job_id), "owner")) or b"").decode("utf-8", "replace")

    async def page(self, owner: str, limit: int, before: float | None = None) -> list[Job]:
        """An owner's jobs, newest first.

        Args:
            owner: Whose jobs.
            limit: The most to return; there are fewer only where no more follow.
            before: Jobs created before this time only, in Unix seconds.
        """
        jobs: list[Job] = []
        bound = f"({before}" if before is not None else "+inf"
        while len(jobs) < limit:
            listed = await self._redis.zrevrangebyscore(
                keys.jobs(owner), bound, "-inf", start=0, num=_LISTED, withscores=True
            )
            if not listed:
                break
            bound = f"({listed[-1][1]}"
            for name in await self._unexpired(owner, [name for name, _ in listed]):
                if len(jobs) < limit and (job := await self.get(name, owner)):
                    jobs.append(job)
        return jobs

    async def _unexpired(self, owner: str, listed: Sequence[bytes]) -> list[str]:
        """Those of the listed jobs that exist; the others are taken off the owner's list."""
        names = {raw: raw.decode("utf-8", "replace") for raw in listed}
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names.values():
                pipe.exists(keys.job(name))
            there = dict(zip(listed, await pipe.execute(), strict=True))
        if gone := [raw for raw in listed if not there[raw]]:
            await self._redis.zrem(keys.jobs(owner), *gone)
        return [names[raw] for raw in listed if there[raw]]


def _snapshot(job_id: str, fields: dict[bytes, bytes]) -> Job:
    try:
        text = {name.decode(): value.decode() for name, value in fields.items()}
        options = parse_options(text["options"])
        started = float(text["started"]) if "started" in text else None
        finished = float(text["finished"]) if "finished" in text else None
        done, total = int(text["done"]), int(text["total"])
        tokens, estimated = int(text["tokens"]), int(text["estimated"])
        ran = done - int(text.get("done_before", 0))  # since the last retry
        read = tokens - int(text.get("tokens_before", 0))
        until = finished or (float(text["progressed"]) if "progressed" in text else None)
        rate = read / (until - started) if started and until and read > 0 and until > started else None
        state = JobState(text["state"])
        eta = (total - done) / ran * (until - started) if rate and ran > 0 and started and until else None
        return Job(
            id=job_id,
            state=state,
            version=int(text["version"]),
            created_at=float(text["created"]),
            started_at=started,
            finished_at=finished,
            total_items=total,
            done_items=done,
            failed_items=int(text["failed"]),
            invalid_items=int(text["invalid"]),
            tokens_estimated=estimated,
            tokens_done=tokens,
            tokens_per_second=rate,
            eta_seconds=None if state.terminal else eta,
            model=options.provenance.fingerprint.model,
            template=options.template.name,
            estimator=options.estimator,
            include=options.include,
            provenance=options.provenance,
            origin=Origin.model_validate_json(text["origin"]) if "origin" in text else None,
            emptied="emptied" in text,
        )
    except (KeyError, ValueError, ValidationError) as error:
        raise Corrupt(f"the record of job {job_id} in Redis cannot be read") from error
