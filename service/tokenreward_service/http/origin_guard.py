"""Requests that were not meant for us are refused: a foreign Host (DNS rebinding) or Origin (CSRF).

It is always on for a bind to loopback, and for a wide one where the names to answer to were given (`allowed_hosts`).
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from tokenreward_service.addresses import is_loopback
from tokenreward_service.problems import ProblemError


def install(app: FastAPI, allowed: str = "") -> None:
    """Refuse requests to foreign hosts (421) and from foreign origins (403).

    Args:
        app: The application to guard.
        allowed: Names to answer to beside this machine's own, with commas between them.
    """
    names = {name.strip().lower() for name in allowed.split(",") if name.strip()}

    @app.middleware("http")
    async def only_for_us(request: Request, call_next: RequestResponseEndpoint) -> Response:
        host = _split("//" + request.headers.get("host", "")).hostname or ""
        if not is_loopback(host) and host not in names:
            told = ", ".join(["localhost", *sorted(names)])
            return ProblemError(421, "Misdirected request", f"This service answers to {told}.").response(request)
        origin = request.headers.get("origin")
        if origin is not None and _split(origin).netloc != request.headers["host"]:
            return ProblemError(403, "Foreign origin", "Requests from other sites are refused.").response(request)
        return await call_next(request)


def _split(url: str) -> SplitResult:
    """The parts of a URL; those of an empty one, which has no host, if it cannot be read."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
