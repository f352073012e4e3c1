"""The smaller answers, and the bookkeeping around items and lists that both shells share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from tokenreward.errors import BadInput, ItemError, JobFailed
from tokenreward.http import endpoints
from tokenreward.http.endpoints import ItemLike
from tokenreward.http.exchange import Reply, Request
from tokenreward.schema import EstimatorInfo, Job, JobState, LabelResponse, ModelInfo, Template

_PAGE = 100
#: Most items that `POST /v1/label` takes, as services come; more go through a job.
SMALL = 64


class _Models(BaseModel):
    models: list[ModelInfo]


class _Templates(BaseModel):
    templates: list[Template]


class _Estimators(BaseModel):
    estimators: list[EstimatorInfo]


class _Health(BaseModel):
    status: str


class _Jobs(BaseModel):
    jobs: list[Job]
    next_cursor: str | None = None


def models(reply: Reply) -> list[ModelInfo]:
    return endpoints.read(_Models, reply).models


def templates(reply: Reply) -> list[Template]:
    return endpoints.read(_Templates, reply).templates


def estimators(reply: Reply) -> list[EstimatorInfo]:
    return endpoints.read(_Estimators, reply).estimators


def health(reply: Reply) -> str:
    return endpoints.read(_Health, reply).status


class JobPages:
    """Walks the pages of `GET /v1/jobs` until `limit` jobs or the end."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit
        self._cursor: str | None = None
        self._more = True

    def request(self) -> Request | None:
        if not self._more or self._left == 0:
            return None
        return endpoints.jobs(_PAGE if self._left is None else min(_PAGE, self._left), self._cursor)

    def read(self, reply: Reply) -> Iterator[Job]:
        page = endpoints.read(_Jobs, reply)
        self._cursor = page.next_cursor
        self._more = page.next_cursor is not None and bool(page.jobs)
        for job in page.jobs:
            if self._left is not None:
                if self._left == 0:
                    return
                self._left -= 1
            yield job


def lines(items: Iterable[ItemLike]) -> list[bytes]:
    encoded = [endpoints.item_json(item) for item in items]
    if not encoded:
        raise BadInput("there are no items to label")
    return encoded


def successful(job: Job) -> Job:
    """`job` if it succeeded; its items may still have errors of their own. Raises JobFailed."""
    if job.state is not JobState.succeeded:
        raise JobFailed(job)
    return job


def checked(answer: LabelResponse, strict: bool) -> LabelResponse:
    """`answer`, unless it must be whole and is not. Raises ItemError for the first item without rewards."""
    if strict:
        for result in answer.results:
            if result.error is not None:
                raise ItemError(result.index, result.error)
    return answer
