"""`POST /v1/label`: a few responses, answered at once where that is possible. It is a job all the same."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from tokenreward.protocol.arrow_blobs import result_rows
from tokenreward.schema import Job, JobRequest, LabelResponse
from tokenreward_service.http.decompression import expanded
from tokenreward_service.intake.admission import Admission
from tokenreward_service.intake.job_builder import JobBuilder
from tokenreward_service.intake.parsing import check_items, read_json
from tokenreward_service.problems import ProblemError, unavailable
from tokenreward_service.results import reading as results
from tokenreward_service.routes.auth import LabelerDep
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.routes.request_parsing import existing, media_type, options_of, preferred_wait
from tokenreward_service.runtime import Runtime, RuntimeDep

router = APIRouter(prefix="/v1", tags=["label"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobRequest"}}},
    }
}


@router.post(
    "/label",
    response_model=LabelResponse,
    responses={
        202: {"model": Job, "description": "It takes longer; Location names the job."},
        **problems(400, 401, 403, 413, 415, 422, 429, 503),
    },
    openapi_extra=_BODY,
)
async def label(request: Request, state: RuntimeDep, caller: LabelerDep) -> Response:
    """Label a few responses and wait for them: 200 with rewards, or 202 when `Prefer: wait=N` seconds are over."""
    if media_type(request) != "application/json":
        raise ProblemError(415, "Unsupported media type", "Send application/json.")
    await state.load.check()
    with state.load.admit(caller.owner) as admission:
        return await _label(request, state, caller.owner, admission)


async def _label(request: Request, state: Runtime, owner: str, admission: Admission) -> Response:
    body = await read_json(expanded(request, state.settings), JobRequest, state.settings, admission)
    if len(body.items) > state.settings.max_label_items:
        most = state.settings.max_label_items
        raise ProblemError(413, "Too many items", f"At most {most} items at once; use POST /v1/jobs for more.")
    plan = await state.catalogue.plan(options_of(body))
    if not plan.live:
        raise unavailable("No live worker serves this model.", 5)
    taking = JobBuilder(state, plan, owner, state.settings.label_ttl_seconds)
    try:
        await taking.take(check_items(body.items, state.settings))
        draft = await taking.end()
    except BaseException:
        await state.store.abandon(taking.draft)
        raise
    await state.merger.publish(draft)
    wait = preferred_wait(request, state.settings.label_wait_seconds)
    seconds = state.settings.label_wait_seconds if wait is None else wait
    job = await state.watcher.until(
        draft.id, lambda: existing(state, draft.id, owner), lambda seen: seen.state.terminal, seconds
    )
    location = {"Location": f"/v1/jobs/{job.id}"}
    if not job.state.terminal:
        return Response(job.model_dump_json(), 202, headers=location, media_type="application/json")
    return Response(to_json(await _answer(state, job)), headers=location, media_type="application/json")


async def _answer(state: Runtime, job: Job) -> dict[str, object]:
    rows = [row async for table in results.read(state.store, job, 0) for row in result_rows(table)]
    return {
        "job": job.model_dump(mode="json"),
        "results": rows,
        "provenance": job.provenance.model_dump(mode="json"),
    }
