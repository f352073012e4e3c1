"""Walking the pages of `GET /v1/jobs`."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from tokenreward.http import endpoints, responses
from tokenreward.http.exchange import Reply, Request
from tokenreward.schema import Job

_PAGE = 100


class _Jobs(BaseModel):
    jobs: list[Job]
    next_cursor: str | None = None


class JobPages:
    """The pages of `GET /v1/jobs`, until `limit` jobs have been read or no page follows."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit
        self._cursor: str | None = None
        self._more = True

    def request(self) -> Request | None:
        """Return the request for the next page, or None if nothing more is wanted."""
        if not self._more or self._left == 0:
            return None
        return endpoints.jobs(_PAGE if self._left is None else min(_PAGE, self._left), self._cursor)

    def read(self, reply: Reply) -> Iterator[Job]:
        """Yield the jobs of one page."""
        page = responses.read(_Jobs, reply)
        self._cursor = page.next_cursor
        self._more = page.next_cursor is not None and bool(page.jobs)
        for job in page.jobs:
            if self._left is not None:
                if self._left == 0:
                    return
                self._left -= 1
            yield job
