"""The web page at `/`: static files out of this package, under a policy that lets nothing else in.

There is no build step and nothing from another host: the browser runs the files of `static/` as they are. The page is
public, as it holds no data; it asks the API like any other client, with the caller's key where keys are on.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
_PAGE = STATIC / "index.html"
#: How the page's own addresses begin. They are relative, and hold wherever the page's address ends in a slash.
_RELATIVE = '="web/'

#: Where the files are served. `/` itself is the page.
PREFIX = "/web"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A new version of the service must not meet half of the old page; an ETag keeps the question cheap.
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def install(app: FastAPI) -> None:
    """Serve the page at `/` and its files below PREFIX."""

    @app.get("/", include_in_schema=False)
    @app.head("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        prefix: str = request.scope.get("root_path", "")
        if not prefix:
            return FileResponse(_PAGE, headers=HEADERS, media_type="text/html")
        # `/rewards` without a slash at its end is the page too.
        text = _PAGE.read_text("utf-8").replace(_RELATIVE, f'="{prefix}/web/')
        return Response(text, headers=HEADERS | {"Vary": "X-Forwarded-Prefix"}, media_type="text/html")

    app.mount(PREFIX, _Files(directory=STATIC), name="web")
