"""What several routes read from a request: its media type, how long it wants to wait, the job that it names, and below
which path it reached us.
"""

from __future__ import annotations

import re

from fastapi import Request

from tokenreward.schema import Job
from tokenreward_service.http.media_types import JSON
from tokenreward_service.problems import ProblemError
from tokenreward_service.runtime import Runtime


def media_type(request: Request) -> str:
    """The media type of the body, without parameters; JSON where none is given."""
    return request.headers.get("content-type", JSON).split(";")[0].strip().lower()


def preferred_wait(request: Request, most: float) -> float | None:
    """The seconds of `Prefer: wait=N` (RFC 7240), at most `most`; None if the request names none."""
    for header in request.headers.getlist("prefer"):
        found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6}(?:\.\d{1,6})?)\"?(?:$|[,;\s])", header)
        if found:
            return min(float(found[1]), most)
    return None


def address(request: Request, path: str) -> str:
    """The address of one of our paths as the caller reaches it, below the prefix of its proxy."""
    return f"{request.scope.get('root_path', '')}{path}"


async def existing(runtime: Runtime, job_id: str, owner: str | None) -> Job:
    """The snapshot of a job.

    Args:
        runtime: Its store has the job.
        job_id: Any text.
        owner: Whose job it has to be; None for anybody's.

    Raises:
        ProblemError: 404, if there is no such job of that owner.
    """
    job = await runtime.store.snapshots.get(job_id, owner)
    if job is None:
        raise ProblemError(404, "No such job", f"There is no job {job_id!r}, or it has expired.")
    return job


async def unemptied(runtime: Runtime, job_id: str, owner: str | None) -> Job:
    """The snapshot of a job whose items and results are still there.

    Args:
        runtime: Its store has the job.
        job_id: Any text.
        owner: Whose job it has to be; None for anybody's.

    Raises:
        ProblemError: 404, if there is no such job of that owner, or only its record is left.
    """
    job = await existing(runtime, job_id, owner)
    if job.emptied:
        raise ProblemError(404, "Results removed", "The items and results of this job were removed; its record stays.")
    return job
