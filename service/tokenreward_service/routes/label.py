"""`POST /v1/label`: a few responses, answered at once where that is possible. It is a job all the same."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from tokenreward.protocol.arrow_blobs import result_rows
from tokenreward.schema import Job, JobOptions, LabelResponse
from tokenreward_service.http.decompression import expanded
from tokenreward_service.http.media_types import JSON
from tokenreward_service.intake.submission import Submission
from tokenreward_service.problems import ProblemError
from tokenreward_service.results.reading import read_results
from tokenreward_service.routes.auth import LabelerDep
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.routes.request_parsing import address, existing, media_type, preferred_wait
from tokenreward_service.runtime import Runtime, RuntimeDep

router = APIRouter(prefix="/v1", tags=["label"])

_BODY = {"requestBody": {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/JobRequest"}}}}}


@router.post(
    "/label",
    response_model=LabelResponse,
    responses={
        202: {"model": Job, "description": "It takes longer; Location names the job."},
        **problems(400, 401, 403, 413, 415, 422, 429, 503),
    },
    openapi_extra=_BODY,
)
async def label(request: Request, runtime: RuntimeDep, caller: LabelerDep) -> Response:
    """Label a few responses and wait for them: 200 with rewards, or 202 when `Prefer: wait=N` seconds are over.

    An `Idempotency-Key` is not read here: the same request twice gives the same rewards, and costs the work twice at
    most. `POST /v1/jobs` reads it.
    """
    if media_type(request) != JSON:
        raise ProblemError(415, "Unsupported media type", "Send application/json.")
    await runtime.admission.check()
    with runtime.admission.admit(caller.owner) as admission:
        submission = Submission(
            body=expanded(request, runtime.settings),
            kind=JSON,
            options=JobOptions(),
            owner=caller.owner,
            ttl=runtime.settings.label_ttl_seconds,
            admission=admission,
            interactive=True,
        )
        job_id = await runtime.intake.submit(submission)
        return await _answer(request, runtime, job_id, caller.owner)


async def _answer(request: Request, runtime: Runtime, job_id: str, owner: str) -> Response:
    wait = preferred_wait(request, runtime.settings.label_wait_seconds)
    seconds = runtime.settings.label_wait_seconds if wait is None else wait
    job = await runtime.subscription.until(
        job_id, lambda: existing(runtime, job_id, owner), lambda seen: seen.state.terminal, seconds
    )
    location = {"Location": address(request, f"/v1/jobs/{job.id}")}
    if not job.state.terminal:
        return Response(job.model_dump_json(), 202, headers=location, media_type=JSON)
    rows = [row async for table in read_results(runtime.store.payloads, job, 0) for row in result_rows(table)]
    answer = {
        "job": job.model_dump(mode="json"),
        "results": rows,
        "provenance": job.provenance.model_dump(mode="json"),
    }
    return Response(to_json(answer), headers=location, media_type=JSON)
