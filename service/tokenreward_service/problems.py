"""Errors as RFC 9457 problems: one exception to raise, one place that turns everything else into a problem."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import redis.exceptions
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException

from tokenreward.protocol.records import Corrupt
from tokenreward.protocol.spill import BlobsAway, NoBlobStore
from tokenreward.schema import PointedError, Problem

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Most places that one problem points at.
MAX_POINTED = 50


class ProblemError(Exception):
    """A request gets a problem instead of what it asked for. It is raised where the fact is known.

    Args:
        status: The HTTP status.
        title: What is wrong, in a few words that are the same for every such problem.
        detail: What is wrong this time, and what the caller can do.
        errors: The places in the request that are wrong; the first MAX_POINTED are sent.
        headers: Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        errors: Sequence[PointedError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.problem = Problem(title=title, status=status, detail=detail, errors=list(errors[:MAX_POINTED]))
        self.headers = dict(headers or {})

    def response(self, request: Request) -> Response:
        """The answer to that request."""
        problem = self.problem.model_copy(update={"instance": request.url.path})
        body = problem.model_dump_json(exclude_none=True)
        return Response(body, status_code=problem.status, headers=self.headers, media_type=MEDIA_TYPE)


def pointed(errors: Sequence[ErrorDetails], prefix: str = "") -> list[PointedError]:
    """pydantic's errors as JSON pointers (RFC 6901) and sentences, without echoing the input.

    Args:
        errors: Of one validation; the first MAX_POINTED are taken.
        prefix: Pointer to the part of the request that was validated.
    """
    found = []
    for error in errors[:MAX_POINTED]:
        # pydantic puts union and model names into the path. The caller wrote only keys and indices, so only they stay.
        steps = [str(step) for step in error["loc"] if isinstance(step, int) or not str(step)[:1].isupper()]
        steps = [
            step for step in steps if not step.startswith(("list[", "constrained-", "function-")) and step != "str"
        ]
        pointer = prefix + "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)
        found.append(PointedError(pointer=pointer or "/", detail=error["msg"].removeprefix("Value error, ")))
    return found


def unavailable(detail: str, retry_after: int = 2) -> ProblemError:
    """A 503 problem. retry_after: seconds until it is worth asking again."""
    return ProblemError(503, "Service unavailable", detail, headers={"Retry-After": str(retry_after)})


def install(app: FastAPI) -> None:
    """Turn every error of a request into a problem."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return error.response(request)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        errors = pointed(error.errors())
        return ProblemError(422, "Invalid request", errors=errors).response(request)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return ProblemError(error.status_code, str(error.detail), headers=error.headers).response(request)

    @app.exception_handler(redis.exceptions.ConnectionError)
    @app.exception_handler(redis.exceptions.TimeoutError)
    async def _redis_gone(request: Request, error: redis.exceptions.RedisError) -> Response:
        log.warning("redis unreachable: %s", error)
        return unavailable("The job store cannot be reached.").response(request)

    @app.exception_handler(redis.exceptions.ResponseError)
    async def _redis_refused(request: Request, error: redis.exceptions.ResponseError) -> Response:
        # OOM (noeviction), MISCONF (the append-only file cannot be written), LOADING: nothing was accepted.
        log.warning("redis refused: %s", error)
        if str(error).startswith(("OOM", "MISCONF", "LOADING", "BUSY", "READONLY")):
            return unavailable("The job store takes no writes at the moment.", 5).response(request)
        return ProblemError(500, "Internal error", "The job store refused a command.").response(request)

    @app.exception_handler(BlobsAway)
    @app.exception_handler(NoBlobStore)
    async def _blobs_away(request: Request, error: Exception) -> Response:
        log.error("%s", error)
        return unavailable("The store of large payloads cannot be used at the moment.", 5).response(request)

    @app.exception_handler(Corrupt)
    async def _corrupt(request: Request, error: Corrupt) -> Response:
        log.error("%s", error)
        return ProblemError(500, "Stored data cannot be read", str(error)).response(request)

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> Response:
        return ProblemError(500, "Internal error", "This is a bug; the log has the trace.").response(request)
