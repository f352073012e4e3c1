"""`/healthz` (the process answers), `/readyz` (it can take work) and `/metrics` (what an operator watches).

`/health` is what the clients of vLLM and SGLang ask before they send work.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from tokenreward_service.monitoring import metrics
from tokenreward_service.problems import unavailable
from tokenreward_service.routes.auth import MetricsDep
from tokenreward_service.routes.openapi_responses import problems
from tokenreward_service.runtime import RuntimeDep

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The service can take work.

    Attributes:
        workers: How many live workers serve the model that was asked for, or any model if none was named.
    """

    status: Literal["ready"] = "ready"
    workers: int


@router.get("/healthz", response_model=Health)
async def healthz() -> Health:
    """The process is alive. Needs no key."""
    return Health()


@router.get("/readyz", response_model=Ready, responses=problems(422, 503))
async def readyz(
    runtime: RuntimeDep,
    model: Annotated[str | None, Query(max_length=512, description="Ready for this model, not just for any.")] = None,
) -> Ready:
    """The job store answers and at least one worker serves a model, or the one asked for. Needs no key."""
    workers = await runtime.fleet.workers()
    serving = [w for w in workers if model in (None, w.model, f"{w.model}@{w.fingerprint_digest}")]
    if not serving:
        raise unavailable("No worker is alive." if model is None else "No live worker serves this model.")
    return Ready(workers=len(serving))


@router.get("/health", responses=problems(503), response_class=Response)
async def health(runtime: RuntimeDep) -> Response:
    """An empty 200 once a worker serves a model, as vLLM and SGLang answer. Needs no key."""
    if not await runtime.fleet.workers():
        raise unavailable("No worker is alive.")
    return Response()


@router.get(
    "/metrics",
    responses={
        200: {"description": "Metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(401, 403, 503),
    },
    response_class=Response,
)
async def show_metrics(request: Request, runtime: RuntimeDep, allowed: MetricsDep) -> Response:
    """Prometheus metrics. Where keys are in use, this needs one with scope `admin`."""
    text = await metrics.page(runtime.redis, runtime.fleet, request.app.state.figures)
    return Response(text, media_type=metrics.MEDIA_TYPE)
