"""TODO: what this module owns."""

from __future__ import annotations

import re

from fastapi import Request

from tokenreward.schema import Job, JobOptions
from tokenreward_service.problems import ProblemError
from tokenreward_service.runtime import Runtime

NDJSON = "application/x-ndjson"


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "application/json").split(";")[0].strip().lower()


def preferred_wait(request: Request, most: float) -> float | None:
    """Seconds of `Prefer: wait=N` (RFC 7240), at most `most`."""
    for header in request.headers.getlist("prefer"):
        found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?:$|[,;\s])", header)
        if found:
            return min(float(found[1]), most)
    return None


async def existing(state: Runtime, job_id: str, owner: str | None) -> Job:
    """The job's snapshot, if it is that owner's (None: anybody's). Raises ProblemError (404)."""
    job = await state.store.get(job_id, owner)
    if job is None:
        raise ProblemError(404, "No such job", f"There is no job {job_id!r}, or it has expired.")
    return job


def options_of(request_options: JobOptions) -> JobOptions:
    return JobOptions(**{name: getattr(request_options, name) for name in JobOptions.model_fields})
