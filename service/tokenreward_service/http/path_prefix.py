"""Serving below a path of a host, `/rewards/` say, as a reverse proxy offers it.

The path is the setting `root_path`, or what the proxy says in `X-Forwarded-Prefix`. A proxy may take it off before it
passes a request on, or leave it there. Either way it becomes the `root_path` of the ASGI scope, of which addresses are
made.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tokenreward_service.addresses import path_prefix


class PathPrefix:
    """ASGI middleware around the whole application: finds the prefix of each request.

    Args:
        app: The application.
        root_path: The prefix of all requests; empty: each request's own `X-Forwarded-Prefix`.
    """

    def __init__(self, app: ASGIApp, root_path: str = "") -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (prefix := self._root_path or _forwarded(scope)):
            path: str = scope["path"]
            inside = path == prefix or path.startswith(prefix + "/")
            rest = path.removeprefix(prefix) if inside else path
            scope = {**scope, "root_path": prefix, "path": prefix + (rest or "/")}
        await self._app(scope, receive, send)


def _forwarded(scope: Scope) -> str:
    """The prefix that proxies name, one part for each proxy, the outermost first; empty if it cannot be one.

    Anybody may send the header. It decides on addresses in the answer to this request only, none of which leads away
    from this host, because a prefix is nothing but segments of a path.
    """
    given: Sequence[str] = Headers(scope=scope).getlist("x-forwarded-prefix")
    parts = [part.strip().rstrip("/") for line in given for part in line.split(",")]
    try:
        return path_prefix("".join(parts))
    except ValueError:
        return ""
