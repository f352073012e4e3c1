"""`GET /v1/jobs/{id}/results`: the results of a job, in input order or otherwise, as NDJSON or Arrow."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from tokenreward.schema import Job, PointedError
from tokenreward_service.http.media_types import ARROW, NDJSON
from tokenreward_service.problems import ProblemError
from tokenreward_service.results.encoding import encode_arrow, encode_ndjson
from tokenreward_service.results.ordering import Selection, Sort, View
from tokenreward_service.routes.auth import LabelerDep
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.routes.request_parsing import existing, preferred_wait, unemptied
from tokenreward_service.routes.streaming import TEXT, begun
from tokenreward_service.runtime import RuntimeDep

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}


@router.get(
    "/{job_id}/results",
    responses={
        200: {"description": "One result a line.", "content": {NDJSON: {"schema": TEXT}, ARROW: {"schema": _BINARY}}},
        304: {"description": "Nothing changed since the ETag that `If-None-Match` names."},
        **problems(401, 403, 404, 422, 503),
    },
    response_class=Response,
)
async def read(
    job_id: str,
    request: Request,
    runtime: RuntimeDep,
    caller: LabelerDep,
    start: Annotated[int, Query(alias="from", ge=0, le=2**53)] = 0,
    errors: Annotated[Literal["only"] | None, Query(description="Items without rewards only.")] = None,
    sort: Annotated[Sort | None, Query(description="Worst mean reward first; with `-` the best.")] = None,
    limit: Annotated[int | None, Query(ge=1, le=10_000, description="Most results; 100 where sorted.")] = None,
) -> Response:
    """Results in input order; while the job runs, the finished contiguous prefix.

    The last line is `{"next": n, "complete": bool, "provenance": {...}}`; `from=n` goes on there. With
    `Prefer: wait=N` the answer waits until there is something from `from` on. With `Accept:
    application/vnd.apache.arrow.stream` an Arrow IPC stream: provenance in the schema's metadata, `next` and
    `complete` in the metadata of a last, empty batch. Once the job is over there is an ETag.
    """
    if errors and sort:
        detail = "errors have no mean reward to sort by"
        raise ProblemError(422, "Invalid request", errors=[PointedError(pointer="/sort", detail=detail)])
    job = await unemptied(runtime, job_id, caller.owner)
    wait = preferred_wait(request, runtime.settings.label_wait_seconds)
    if wait is not None:

        async def look() -> tuple[Job, bool]:
            seen = await existing(runtime, job_id, caller.owner)
            return seen, bool((found := await runtime.store.payloads.ranges(job_id, start)) and found[0][0] <= start)

        job, _ = await runtime.subscription.until(job_id, look, lambda seen: seen[1] or seen[0].state.terminal, wait)
    view = View(start, errors == "only", sort, limit)
    kind = ARROW if ARROW in request.headers.get("accept", "").lower() else NDJSON
    headers = {"Vary": "Accept"}
    if job.state.terminal:
        headers["ETag"] = view.etag(job, kind)
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if known & {headers["ETag"], "*"}:
            return Response(status_code=304, headers=headers)
    selection = Selection(runtime.store.payloads, job, view)
    body = await begun(encode_arrow(selection) if kind == ARROW else encode_ndjson(selection))
    return StreamingResponse(body, media_type=kind, headers=headers)
