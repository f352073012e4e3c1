"""`POST /v1/jobs`: queue responses to be labeled, or estimate what that would take."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ValidationError

from tokenreward.schema import Include, Job, JobOptions, PointedError, Pool, PoolBy, Provenance
from tokenreward_service.http.decompression import expanded
from tokenreward_service.http.media_types import JSON, NDJSON
from tokenreward_service.intake.submission import Submission
from tokenreward_service.problems import ProblemError, pointed
from tokenreward_service.routes.auth import LabelerDep
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.routes.request_parsing import address, existing, media_type
from tokenreward_service.runtime import RuntimeDep
from tokenreward_service.store.drafts import Draft

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_BODIES = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": {"$ref": "#/components/schemas/JobRequest"}},
            NDJSON: {"schema": {"type": "string", "description": "One Item a line; options are query parameters."}},
        },
    }
}


#: Options that are objects: in a query they are JSON.
_OBJECTS = ("parameters", "models", "origin")


class Estimate(BaseModel):
    """The answer to `dry_run=true`.

    Attributes:
        total_items: All items.
        invalid_items: Items that are wrong. They would get an error for that.
        tokens_estimated: Tokens of the whole job, estimated before tokenization.
        seconds_estimated: The time that one worker with nothing else to do would take, or None if no speed is known.
        live: Whether a worker serves the model now.
        provenance: Where the rewards would come from.
    """

    total_items: int
    invalid_items: int
    tokens_estimated: int
    seconds_estimated: float | None
    live: bool
    provenance: Provenance

    @classmethod
    def of(cls, draft: Draft) -> Estimate:
        """The estimate of a draft that was only counted."""
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
    runtime: RuntimeDep,
    caller: LabelerDep,
    model: str | None = None,
    template: str | None = None,
    estimator: str | None = None,
    parameters: Annotated[str | None, Query(description='A JSON object, as in `{"tau": 0.05}`.')] = None,
    pool: Pool | None = None,
    pool_by: PoolBy | None = None,
    models: Annotated[str | None, Query(description='A JSON object, as in `{"better": "dpo"}`.')] = None,
    include: Annotated[list[Include] | None, Query()] = None,
    top_k: int | None = None,
    strict: bool | None = None,
    origin: Annotated[str | None, Query(description='A JSON object, as in `{"name": "pairs.jsonl"}`.')] = None,
    dry_run: Annotated[bool, Query(description="Accept nothing: 200 with an estimate.")] = False,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Job | Response:
    """Queue responses to be labeled. Every item of an accepted job ends in rewards or in an error of its own."""
    given = {
        "model": model,
        "template": template,
        "estimator": estimator,
        "parameters": parameters,
        "pool": pool,
        "pool_by": pool_by,
        "models": models,
        "include": include,
        "top_k": top_k,
        "strict": strict,
        "origin": origin,
    }
    query = {name: value for name, value in given.items() if value is not None}
    kind = media_type(request)
    if kind not in (JSON, NDJSON):
        raise ProblemError(415, "Unsupported media type", f"Send application/json or {NDJSON}, not {kind!r}.")
    if kind == JSON and query:
        raise ProblemError(422, "Invalid request", f"With a JSON body, {', '.join(query)} belong into the body.")
    options = _options(query)
    await runtime.admission.check()
    with runtime.admission.admit(caller.owner) as admission:
        submission = Submission(
            body=expanded(request, runtime.settings),
            kind=kind,
            options=options,
            owner=caller.owner,
            ttl=runtime.settings.job_ttl_seconds,
            admission=admission,
            key=idempotency_key,
            dry=dry_run,
        )
        if dry_run:
            draft = await runtime.intake.read(submission)
            return Response(Estimate.of(draft).model_dump_json(), 200, media_type=JSON)
        job_id = await runtime.intake.submit(submission)
    response.headers["Location"] = address(request, f"/v1/jobs/{job_id}")
    return await existing(runtime, job_id, caller.owner)


def _parsed(name: str, text: str) -> Any:
    """An option that is an object, from its JSON. Raises ProblemError (422)."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        wrong = PointedError(pointer=f"/{name}", detail=f"not JSON: {error}")
        raise ProblemError(422, "Invalid option", errors=[wrong]) from None


def _options(query: dict[str, Any]) -> JobOptions:
    """The options that an NDJSON job has in its query. Raises ProblemError (422)."""
    try:
        return JobOptions(**query | {name: _parsed(name, query[name]) for name in _OBJECTS if name in query})
    except ValidationError as error:
        errors = pointed(error.errors(include_url=False, include_input=False))
        raise ProblemError(422, "Invalid option", errors=errors) from None
