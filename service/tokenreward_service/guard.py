"""On loopback, requests that were not meant for us are refused: a foreign Host (DNS rebinding) or Origin (CSRF)."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from tokenreward_service.addresses import is_loopback
from tokenreward_service.problems import ProblemError


def install(app: FastAPI) -> None:
    @app.middleware("http")
    async def only_for_us(request: Request, call_next: RequestResponseEndpoint) -> Response:
        if not is_loopback(_hostname("//" + request.headers.get("host", ""))):
            return ProblemError(421, "Misdirected request", "This service answers to localhost.").response(request)
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers["host"]:
            return ProblemError(403, "Foreign origin", "Requests from other sites are refused.").response(request)
        return await call_next(request)


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
