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
from tokenreward_service.routes import adapters, catalogue, health, job_create, job_results, jobs, label, render
from tokenreward_service.runtime import running
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.version import VERSION


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
    for part in (label, job_create, jobs, job_results, adapters, catalogue, render, health):
        app.include_router(part.router)
    web.install(app)
    openapi.install(app)
    # Added last: around everything else.
    app.add_middleware(RequestLog, figures=app.state.figures)
    app.add_middleware(PathPrefix, root_path=settings.root_path)
    return app
