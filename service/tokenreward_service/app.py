"""The FastAPI application: routes, problems, and the parts that run beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from tokenreward_service import problems, web
from tokenreward_service.addresses import is_loopback
from tokenreward_service.http import openapi, origin_guard
from tokenreward_service.http.path_prefix import PathPrefix
from tokenreward_service.monitoring.request_log import RequestFigures, RequestLog
from tokenreward_service.routes import (
    adapters,
    audits,
    catalogue,
    health,
    job_create,
    job_items,
    job_results,
    jobs,
    label,
    render,
)
from tokenreward_service.runtime import running
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.version import VERSION
from tokenreward_service.wires import completions, sglang_generate, token_generate


def create_app(settings: ServiceSettings, redis_url: str) -> FastAPI:
    """The application.

    Args:
        settings: The service's settings.
        redis_url: The Redis that holds the jobs; it is first asked when the app starts.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(app, settings, redis_url):
            yield

    app = FastAPI(
        title="tokenreward",
        version=VERSION,
        description="Token-level rewards for preference training, from a reference model's own log-probs.",
        lifespan=lifespan,
    )
    app.state.figures = RequestFigures()
    problems.install(app)
    if is_loopback(settings.host) or settings.allowed_hosts:
        origin_guard.install(app, settings.allowed_hosts or "")
    for part in (label, job_create, jobs, job_results, job_items, adapters, catalogue, audits, render, health):
        app.include_router(part.router)
    for wire in (completions, token_generate, sglang_generate):
        app.include_router(wire.router)
    web.install(app)
    openapi.install(app, [completions.CompletionRequest, token_generate.GenerateRequest, sglang_generate.SglangRequest])
    # Added last: around everything else.
    app.add_middleware(RequestLog, figures=app.state.figures)
    app.add_middleware(PathPrefix, root_path=settings.root_path)
    return app
