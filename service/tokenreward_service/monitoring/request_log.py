"""What is kept of every request: an id that ties its log lines together, a count, a duration, and one log line.

Route templates stand for paths, so that no label and no line grows with what callers make up; a query or a body is
never logged.
"""

from __future__ import annotations

import logging
import re
import time
from collections import Counter, defaultdict
from contextvars import ContextVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: The logger of the line that every request gets. Operators filter by this name, so it does not follow the module's.
ACCESS_LOGGER = "tokenreward_service.access"

log = logging.getLogger(ACCESS_LOGGER)

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

#: Upper bounds of the histogram of answer times, in seconds.
BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
_GIVEN_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})
_QUIET = frozenset({"/healthz", "/health", "/readyz", "/metrics"})


class RequestFigures:
    """Counts since this process started.

    Attributes:
        requests: Answers, by (method, route, status).
        count: Answers, by route.
        seconds: Sum of the times until the first byte of the answer, by route.
        le: How many of those times were at most a bound of BUCKETS, by (route, bound).
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.le: Counter[tuple[str, float]] = Counter()
        self.count: Counter[str] = Counter()

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer. seconds: time until its first byte."""
        self.requests[method, route, status] += 1
        self.count[route] += 1
        self.seconds[route] += seconds
        for bound in BUCKETS:
            if seconds <= bound:
                self.le[route, bound] += 1


class RequestLog:
    """ASGI middleware around the whole application: gives each request an id, counts it, and logs it."""

    def __init__(self, app: ASGIApp, figures: RequestFigures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if _GIVEN_ID.fullmatch(given) else uuid4().hex
        token = request_id.set(name)
        started = time.perf_counter()
        status, seconds = 500, 0.0

        async def sending(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - started
                MutableHeaders(scope=message)["X-Request-ID"] = name
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._note(scope, status, seconds or time.perf_counter() - started)
            request_id.reset(token)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = getattr(scope.get("route"), "path", "unmatched")
        self._figures.note(method, route, status, seconds)
        level = logging.DEBUG if route in _QUIET else logging.WARNING if status >= 500 else logging.INFO
        job = scope.get("path_params", {}).get("job_id")
        extra = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1), "job": job}
        log.log(level, "%s %s %d", method, route, status, extra=extra)
