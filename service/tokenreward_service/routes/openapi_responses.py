"""The problems that a route may answer with, as OpenAPI shows them."""

from __future__ import annotations

from typing import Any

from tokenreward_service.problems import MEDIA_TYPE

#: What each problem means, whichever route it comes from.
_WHY = {
    400: "Malformed body; nothing was accepted",
    401: "API key needed; none was sent, or it is unknown or revoked",
    403: "Not allowed; the key lacks the scope",
    404: "No such thing; there is none, it has expired, is somebody else's, or its items and results were removed",
    409: "Conflict; not in the state the job or the request is in",
    413: "Too large; the body, a line of it, or the number of items",
    415: "Unsupported media type; or content coding",
    422: "Invalid request; `errors` point at what is wrong, nothing was accepted",
    429: "Too busy; nothing was accepted, come back after `Retry-After` seconds",
    503: "Service unavailable; the job store or a worker is missing, come back after `Retry-After` seconds",
}
_HEADERS = {
    401: ("WWW-Authenticate", "Bearer, and what was wrong with the key"),
    403: ("WWW-Authenticate", "Bearer, and the scope that is needed"),
    429: ("Retry-After", "Seconds"),
    503: ("Retry-After", "Seconds"),
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these statuses, for a route's `responses=`."""
    return {status: _problem_response(status) for status in statuses}


def _problem_response(status: int) -> dict[str, Any]:
    example = {"type": "about:blank", "title": _WHY[status].partition(";")[0], "status": status, "errors": []}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    response: dict[str, Any] = {"description": _WHY[status], "content": content}
    if status in _HEADERS:
        name, description = _HEADERS[status]
        response["headers"] = {name: {"description": description, "schema": {"type": "string"}}}
    return response
