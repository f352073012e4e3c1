"""`/v1/jobs`: create, look, list, results, cancel, retry, purge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ValidationError

from tokenreward.schema import Include, Job, JobOptions, JobRequest, PointedError, Provenance
from tokenreward_service import idempotency, progress, results
from tokenreward_service.access import CallerDep, LabelerDep
from tokenreward_service.bodies import expanded
from tokenreward_service.delivery import ARROW, Delivery, Sort, View
from tokenreward_service.intake import check_items, read_json, read_ndjson
from tokenreward_service.load import Admission
from tokenreward_service.problems import ProblemError, pointed
from tokenreward_service.routes.common import (
    NDJSON,
    Taking,
    existing,
    media_type,
    options_of,
    preferred_wait,
    problems,
)
from tokenreward_service.state import State, StateDep
from tokenreward_service.store import Draft, shards_of

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_TEXT: dict[str, Any] = {"type": "string"}
_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}

_BODIES = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/JobRequest"}},
            NDJSON: {"schema": {"type": "string", "description": "One Item a line; options are query parameters."}},
        },
    }
}


class JobPage(BaseModel):
    """Newest first; `next_cursor` goes into `?cursor=` for the page after this one."""

    jobs: list[Job]
    next_cursor: str | None = None


class Estimate(BaseModel):
    """The answer to `dry_run=true`.

    seconds_estimated: on one worker that has nothing else to do, if its speed is known.
    live: whether a worker serves the model now.
    """

    total_items: int
    invalid_items: int
    tokens_estimated: int
    seconds_estimated: float | None
    live: bool
    provenance: Provenance

    @classmethod
    def of(cls, draft: Draft) -> Estimate:
        speed = draft.plan.speed
        return cls(
            total_items=draft.total,
            invalid_items=draft.invalid,
            tokens_estimated=draft.estimated,
            seconds_estimated=draft.estimated / speed if speed else None,
            live=draft.plan.live,
            provenance=draft.plan.scoring.provenance,
        )


@router.post(
    "",
    status_code=202,
    response_model=Job,
    responses={
        200: {"model": Estimate, "description": "With `dry_run=true`: what it would be; nothing was accepted."},
        **problems(400, 401, 403, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra=_BODIES,
)
async def create(
    request: Request,
    response: Response,
    state: StateDep,
    caller: LabelerDep,
    model: str | None = None,
    template: str | None = None,
    estimator: str | None = None,
    include: Annotated[list[Include] | None, Query()] = None,
    strict: bool | None = None,
    dry_run: Annotated[bool, Query(description="Accept nothing: 200 with an estimate.")] = False,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Job | Response:
    """Queue responses to be labeled. What got this 202 ends in rewards or in an error of its own."""
    given = {"model": model, "template": template, "estimator": estimator, "include": include, "strict": strict}
    query = {name: value for name, value in given.items() if value is not None}
    kind = media_type(request)
    if kind not in ("application/json", NDJSON):
        raise ProblemError(415, "Unsupported media type", f"Send application/json or {NDJSON}, not {kind!r}.")
    if kind == "application/json" and query:
        raise ProblemError(422, "Invalid request", f"With a JSON body, {', '.join(query)} belong into the body.")
    options = _options(query)
    await state.load.check()
    with state.load.admit(caller.owner) as admission:
        if dry_run:
            body = expanded(request, state.settings)
            draft = await _taken_in(body, state, caller.owner, admission, kind, options, dry=True)
            return Response(Estimate.of(draft).model_dump_json(), 200, media_type="application/json")
        job_id = await _once(request, state, caller.owner, admission, kind, options, idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return await existing(state, job_id, caller.owner)


def _options(query: dict[str, Any]) -> JobOptions:
    """The options that an NDJSON job has in its query. Raises ProblemError (422)."""
    try:
        return JobOptions(**query)
    except ValidationError as error:
        errors = pointed(error.errors(include_url=False, include_input=False))
        raise ProblemError(422, "Invalid option", errors=errors) from None


async def _once(
    request: Request,
    state: State,
    owner: str,
    admission: Admission,
    kind: str,
    options: JobOptions,
    key: str | None,
) -> str:
    """The job of this request: a new one, or the one that an earlier request with the same key made."""
    body = expanded(request, state.settings)
    if key is None:
        return (await _publish(body, state, owner, admission, kind, options, None)).id
    earlier = idempotency.Request(state.redis, owner, key, f"{kind} {options.model_dump_json()}")
    left = await earlier.claim()
    if left is not None:
        async for _ in earlier.hashing(body):
            pass
        return earlier.same_job(left)
    try:
        return (await _publish(earlier.hashing(body), state, owner, admission, kind, options, earlier)).id
    finally:
        await earlier.release()


async def _publish(
    body: AsyncIterator[bytes],
    state: State,
    owner: str,
    admission: Admission,
    kind: str,
    options: JobOptions,
    request: idempotency.Request | None,
) -> Draft:
    draft = await _taken_in(body, state, owner, admission, kind, options)
    if request is not None:
        draft.idempotency = (request.record, request.settled(draft.id))
    # From here on the job may exist even if we are told otherwise (an answer can get lost): nothing is taken back.
    await state.store.publish([draft], shards_of(draft))
    return draft


async def _taken_in(
    body: AsyncIterator[bytes],
    state: State,
    owner: str,
    admission: Admission,
    kind: str,
    options: JobOptions,
    *,
    dry: bool = False,
) -> Draft:
    """The whole body as a draft; what was staged of it is gone if anything is wrong."""
    taking: Taking | None = None
    ttl = state.settings.job_ttl_seconds
    try:
        if kind == NDJSON:
            taking = Taking(state, await state.catalogue.plan(options), owner, ttl, dry=dry)
            async for entries in read_ndjson(body, state.settings):
                await taking.take(entries)
        else:
            parsed = await read_json(body, JobRequest, state.settings, admission)
            taking = Taking(state, await state.catalogue.plan(options_of(parsed)), owner, ttl, dry=dry)
            await taking.take(check_items(parsed.items, state.settings))
        return await taking.end()
    except BaseException:
        if taking is not None:
            await state.store.abandon(taking.draft)
        raise


@router.get("", response_model=JobPage, responses=problems(401, 403, 422, 503))
async def page(
    state: StateDep,
    caller: LabelerDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(pattern=r"^\d{1,12}(\.\d{1,9})?$")] = None,
) -> JobPage:
    """Your jobs, newest first."""
    jobs = await state.store.page(caller.owner, limit, float(cursor) if cursor else None)
    return JobPage(jobs=jobs, next_cursor=f"{jobs[-1].created_at:.6f}" if len(jobs) == limit else None)


@router.get("/{job_id}", response_model=Job, responses=problems(401, 404, 503))
async def show(job_id: str, state: StateDep, caller: CallerDep) -> Job:
    """One job's snapshot."""
    return await existing(state, job_id, caller.manages)


@router.delete("/{job_id}", status_code=204, responses=problems(401, 404, 503))
async def purge(job_id: str, state: StateDep, caller: CallerDep) -> Response:
    """Forget a job, its items and its results; cancels it if it is not over."""
    await existing(state, job_id, caller.manages)
    await state.store.purge(job_id)
    return Response(status_code=204)


@router.post("/{job_id}/cancel", response_model=Job, responses=problems(401, 404, 409, 503))
async def cancel(job_id: str, state: StateDep, caller: CallerDep) -> Job:
    """Stop what is not finished. Finished items keep their results."""
    job = await existing(state, job_id, caller.manages)
    if not await state.store.cancel(job_id) and job.state != "cancelled":
        raise ProblemError(409, "Job is over", f"The job has {job.state}; there is nothing to cancel.")
    return await existing(state, job_id, caller.manages)


@router.post("/{job_id}/retry", response_model=Job, responses=problems(401, 403, 404, 409, 429, 503))
async def retry(job_id: str, state: StateDep, caller: LabelerDep) -> Job:
    """Run again what failed or was cancelled. What succeeded stays as it is."""
    job = await existing(state, job_id, caller.owner)
    if not job.state.terminal:
        raise ProblemError(409, "Job is not over", f"The job is {job.state}; retry it when it has ended.")
    await state.load.check()
    if not await results.retry(state.store, job):
        raise ProblemError(409, "Nothing to retry", "Every item has its rewards.")
    return await existing(state, job_id, caller.owner)


@router.get(
    "/{job_id}/events",
    responses={
        200: {"description": "One `job` event a change.", "content": {progress.MEDIA_TYPE: {"schema": _TEXT}}},
        204: {"description": "The job is over and `Last-Event-ID` names its last version: do not come back."},
        **problems(401, 404, 429, 503),
    },
    response_class=Response,
)
async def follow(
    job_id: str, state: StateDep, caller: CallerDep, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """The job's snapshots as server-sent events: id = version, each event a whole Job, nothing replayed."""
    job = await existing(state, job_id, caller.manages)
    if job.state.terminal and last_event_id == str(job.version):
        return Response(status_code=204)

    async def body() -> AsyncIterator[bytes]:
        with state.load.admit(caller.owner):
            async for event in progress.events(state.store, state.watcher, job_id, caller.manages, last_event_id):
                yield event

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(await _begun(body()), media_type=progress.MEDIA_TYPE, headers=headers)


@router.get(
    "/{job_id}/results",
    responses={
        200: {"description": "One result a line.", "content": {NDJSON: {"schema": _TEXT}, ARROW: {"schema": _BINARY}}},
        304: {"description": "Nothing changed since the ETag that `If-None-Match` names."},
        **problems(401, 403, 404, 422, 503),
    },
    response_class=Response,
)
async def read(
    job_id: str,
    request: Request,
    state: StateDep,
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
    job = await existing(state, job_id, caller.owner)
    wait = preferred_wait(request, state.settings.label_wait_seconds)
    if wait is not None:

        async def look() -> tuple[Job, bool]:
            seen = await existing(state, job_id, caller.owner)
            return seen, bool((found := await state.store.ranges(job_id, start)) and found[0][0] <= start)

        job, _ = await state.watcher.until(job_id, look, lambda seen: seen[1] or seen[0].state.terminal, wait)
    view = View(start, errors == "only", sort, limit)
    kind = ARROW if ARROW in request.headers.get("accept", "").lower() else NDJSON
    headers = {"Vary": "Accept"}
    if job.state.terminal:
        headers["ETag"] = view.etag(job, kind)
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if known & {headers["ETag"], "*"}:
            return Response(status_code=304, headers=headers)
    delivery = Delivery(state.store, job, view)
    body = await _begun(delivery.arrow() if kind == ARROW else delivery.ndjson())
    return StreamingResponse(body, media_type=kind, headers=headers)


async def _begun(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same body with its first piece made, so that what is wrong with it can still be a problem."""
    first = await anext(body)

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in body:
            yield piece

    return whole()
