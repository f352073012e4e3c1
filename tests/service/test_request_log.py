"""The line that every request gets in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tokenreward_service.monitoring import logs
from tokenreward_service.monitoring.request_log import RequestFigures, RequestLog
from tokenreward_service.settings import LogFormat


async def answered(status: int) -> None:
    """One request through the middleware, answered with that status."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=status)(scope, receive, send)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/v1/jobs", "headers": []}
    await RequestLog(app, RequestFigures())(scope, receive, send)


@pytest.fixture
def configured() -> Iterator[Callable[[LogFormat], None]]:
    """Configures the logs for one test."""
    root, access = logging.getLogger(), logging.getLogger("tokenreward_service.access")
    handlers, levels = root.handlers[:], (root.level, access.level)
    root.handlers = []  # `configure` would close pytest's own
    yield logs.configure
    root.handlers = handlers
    root.setLevel(levels[0])
    access.setLevel(levels[1])


@pytest.mark.parametrize(("log_format", "statuses"), [("json", [200, 503]), ("text", [503])])
def test_a_request_is_logged_as_access_and_in_text_only_if_it_went_wrong(
    log_format: LogFormat,
    statuses: list[int],
    configured: Callable[[LogFormat], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured(log_format)
    for status in (200, 503):
        asyncio.run(answered(status))
    lines = [line for line in capsys.readouterr().err.splitlines() if "tokenreward_service.access" in line]
    assert [int(line.partition("GET unmatched ")[2][:3]) for line in lines] == statuses
