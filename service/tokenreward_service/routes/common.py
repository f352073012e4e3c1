"""What several routes share: parsing a body into a draft, preferences, and the problems that OpenAPI shows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any

from fastapi import Request

from tokenreward.protocol.blobs import Entry
from tokenreward.schema import Job, JobOptions, PointedError
from tokenreward_service.catalogue import Plan
from tokenreward_service.cutting import Cutter, Slice
from tokenreward_service.problems import MAX_POINTED, MEDIA_TYPE, ProblemError
from tokenreward_service.state import State
from tokenreward_service.store import Draft

NDJSON = "application/x-ndjson"
#: Entries that are checked before others get their turn on the event loop.
_RUN = 100

#: What each problem means, wherever it comes.
_WHY = {
    400: "Malformed body; nothing was accepted",
    401: "API key needed; none was sent, or it is unknown or revoked",
    403: "Not allowed; the key lacks the scope",
    404: "No such job; there is none, it has expired, or it is somebody else's",
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
    """OpenAPI's `responses` for these statuses."""
    return {status: _problem_response(status) for status in statuses}


def _problem_response(status: int) -> dict[str, Any]:
    example = {"type": "about:blank", "title": _WHY[status].partition(";")[0], "status": status, "errors": []}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    response: dict[str, Any] = {"description": _WHY[status], "content": content}
    if status in _HEADERS:
        name, description = _HEADERS[status]
        response["headers"] = {name: {"description": description, "schema": {"type": "string"}}}
    return response


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "application/json").split(";")[0].strip().lower()


def preferred_wait(request: Request, most: float) -> float | None:
    """Seconds of `Prefer: wait=N` (RFC 7240), at most `most`."""
    for header in request.headers.getlist("prefer"):
        found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?:$|[,;\s])", header)
        if found:
            return min(float(found[1]), most)
    return None


class Taking:
    """Takes one job in: cuts and stages runs of entries, keeps what must be known before it is published.

    dry: only count; nothing is staged.
    """

    def __init__(self, state: State, plan: Plan, owner: str, ttl: int, *, dry: bool = False) -> None:
        self._state = state
        self._dry = dry
        self._cutter = Cutter(plan, state.settings)
        self.draft: Draft = state.store.draft(plan, owner, ttl)
        self.wrong: list[PointedError] = []

    async def take(self, entries: Iterable[Entry]) -> None:
        """Raises ProblemError (422) in strict mode, at the end of the run that has something wrong."""
        kept = []
        for number, entry in enumerate(entries, 1):
            if number % _RUN == 0:
                await asyncio.sleep(0)
            kept.append(entry)
            if entry.failure is not None and len(self.wrong) < MAX_POINTED:
                self.wrong.append(PointedError(pointer=entry.failure.pointer or "/", detail=entry.failure.message))
        if self.wrong and self.draft.plan.options.strict:
            raise ProblemError(422, "Invalid items", "strict=true: nothing was accepted.", errors=self.wrong)
        for piece in self._cutter.add(kept):
            await self._stage(piece)

    async def end(self) -> Draft:
        """The draft, ready to be published. Raises ProblemError (503) if what was staged did not last until now."""
        for piece in self._cutter.rest():
            await self._stage(piece)
        await self._state.store.confirm(self.draft)
        return self.draft

    async def _stage(self, piece: Slice) -> None:
        if self._dry:
            self.draft.count(piece)
            await asyncio.sleep(0)
        else:
            await self._state.store.stage(self.draft, piece)


async def existing(state: State, job_id: str, owner: str | None) -> Job:
    """The job's snapshot, if it is that owner's (None: anybody's). Raises ProblemError (404)."""
    job = await state.store.get(job_id, owner)
    if job is None:
        raise ProblemError(404, "No such job", f"There is no job {job_id!r}, or it has expired.")
    return job


def options_of(request_options: JobOptions) -> JobOptions:
    return JobOptions(**{name: getattr(request_options, name) for name in JobOptions.model_fields})
