"""`/v1/jobs`: list, show, cancel, retry, purge, and follow jobs. Creating one is in `job_create.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tokenreward.schema import Job
from tokenreward_service.events.sse import job_events
from tokenreward_service.http.media_types import EVENTS
from tokenreward_service.problems import ProblemError
from tokenreward_service.results.pinning_anew import pin_anew
from tokenreward_service.results.retry import retry_failed
from tokenreward_service.routes.auth import CallerDep, LabelerDep
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.routes.request_parsing import existing, unemptied
from tokenreward_service.routes.streaming import TEXT, begun
from tokenreward_service.runtime import RuntimeDep
from tokenreward_service.store.unserved import instead

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


class JobPage(BaseModel):
    """Newest first; `next_cursor` goes into `?cursor=` for the page after this one."""

    jobs: list[Job]
    next_cursor: str | None = None


@router.get("", response_model=JobPage, responses=problems(401, 403, 422, 503))
async def page(
    runtime: RuntimeDep,
    caller: LabelerDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(pattern=r"^\d{1,12}(\.\d{1,9})?$")] = None,
) -> JobPage:
    """Your jobs, newest first."""
    jobs = await runtime.store.snapshots.page(caller.owner, limit, float(cursor) if cursor else None)
    return JobPage(jobs=jobs, next_cursor=f"{jobs[-1].created_at:.6f}" if len(jobs) == limit else None)


@router.get("/{job_id}", response_model=Job, responses=problems(401, 404, 503))
async def show(job_id: str, runtime: RuntimeDep, caller: CallerDep) -> Job:
    """One job's snapshot."""
    return await existing(runtime, job_id, caller.manages)


@router.delete("/{job_id}", status_code=204, responses=problems(401, 404, 503))
async def purge(job_id: str, runtime: RuntimeDep, caller: CallerDep) -> Response:
    """Remove a job with its items and its results. A job that is not over ends without an outcome."""
    await existing(runtime, job_id, caller.manages)
    await runtime.store.purge(job_id)
    return Response(status_code=204)


@router.post("/{job_id}/cancel", response_model=Job, responses=problems(401, 404, 409, 503))
async def cancel(job_id: str, runtime: RuntimeDep, caller: CallerDep) -> Job:
    """End a job early. Finished items keep their results."""
    job = await existing(runtime, job_id, caller.manages)
    if not await runtime.store.cancel(job_id) and job.state != "cancelled":
        raise ProblemError(409, "Job is over", f"The job has {job.state}; there is nothing to cancel.")
    return await existing(runtime, job_id, caller.manages)


@router.post("/{job_id}/retry", response_model=Job, responses=problems(401, 403, 404, 409, 429, 503))
async def retry(job_id: str, runtime: RuntimeDep, caller: LabelerDep) -> Job:
    """Score the items again that failed or were not finished. The others stay as they are.

    A job whose set-up (fingerprint) nobody serves any more is pinned to the newest one of its model that is served,
    also before it is over, if none of its items has rewards yet. A job that has some is left as it is, since all
    rewards of a job have one provenance.
    """
    job = await unemptied(runtime, job_id, caller.owner)
    served = instead(job, await runtime.fleet.look())
    if served and job.done_items == job.failed_items:
        await runtime.admission.check()
        if not await pin_anew(runtime.store, job, served[0]):
            raise ProblemError(409, "Job has changed", "The job went on, or was retried, meanwhile; look at it again.")
        return await existing(runtime, job_id, caller.owner)
    if not job.state.terminal:
        why = f"it {job.waiting.message}" if job.waiting else "retry it when it has ended"
        raise ProblemError(409, "Job is not over", f"The job is {job.state}; {why}.")
    await runtime.admission.check()
    if not await retry_failed(runtime.store, job):
        raise ProblemError(409, "Nothing to retry", "Every item has its rewards.")
    return await existing(runtime, job_id, caller.owner)


@router.get(
    "/{job_id}/events",
    responses={
        200: {"description": "One `job` event a change.", "content": {EVENTS: {"schema": TEXT}}},
        204: {"description": "The job is over and `Last-Event-ID` names its last version: do not come back."},
        **problems(401, 404, 429, 503),
    },
    response_class=Response,
)
async def follow(
    job_id: str, runtime: RuntimeDep, caller: CallerDep, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """The job's snapshots as server-sent events: id = version, each event a whole Job, nothing replayed."""
    job = await existing(runtime, job_id, caller.manages)
    if job.state.terminal and last_event_id == str(job.version):
        return Response(status_code=204)

    async def body() -> AsyncIterator[bytes]:
        with runtime.admission.admit(caller.owner):
            async for event in job_events(
                runtime.store.snapshots, runtime.subscription, job_id, caller.manages, last_event_id
            ):
                yield event

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(await begun(body()), media_type=EVENTS, headers=headers)
