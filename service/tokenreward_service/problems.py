"""Errors as RFC 9457 problems: one exception to raise, one place that turns everything else into a problem."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import redis.exceptions
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException

from tokenreward.protocol import refusals
from tokenreward.protocol.records import Corrupt
from tokenreward.protocol.spill import BlobsAway, NoBlobStore
from tokenreward.schema import PointedError, Problem

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Most places that one problem points at.
MAX_POINTED = 50
#: Most errors of one validation that are looked at one by one.
_MOST_LISTED = 1000


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


def listed(error: ValidationError) -> Sequence[ErrorDetails]:
    """The errors of a validation, without echoing the input; one for all where they are more than anybody reads.

    pydantic makes all of its errors out or none, which takes a second for every hundred thousand.
    """
    if error.error_count() > _MOST_LISTED:
        return [ErrorDetails(type="too_many", loc=(), msg=f"{error.error_count()} places in it are wrong", input=None)]
    return error.errors(include_url=False, include_input=False)


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


def as_problem(error: Exception) -> ProblemError:
    """Return the problem that an error of a request is answered with."""
    match error:
        case ProblemError():
            return error
        case RequestValidationError():
            return ProblemError(422, "Invalid request", errors=pointed(error.errors()))
        case HTTPException():
            return ProblemError(error.status_code, str(error.detail), headers=error.headers)
        case redis.exceptions.ConnectionError() | redis.exceptions.TimeoutError():
            log.warning("redis unreachable: %s", error)
            return unavailable("The job store cannot be reached.")
        case redis.exceptions.ResponseError():
            # OOM (noeviction), MISCONF (the append-only file cannot be written), LOADING: nothing was accepted.
            log.warning("redis refused: %s", refusals.reason(error))
            if refusals.passes(error):
                return unavailable("The job store takes no writes at the moment.", 5)
            return ProblemError(500, "Internal error", "The job store refused a command.")
        case BlobsAway() | NoBlobStore():
            log.error("%s", error)
            return unavailable("The store of large payloads cannot be used at the moment.", 5)
        case Corrupt():
            log.error("%s", error)
            return ProblemError(500, "Stored data cannot be read", str(error))
        case _:
            return ProblemError(500, "Internal error", "This is a bug; the log has the trace.")


#: The errors that `as_problem` knows.
KNOWN_ERRORS: tuple[type[Exception], ...] = (
    *(ProblemError, RequestValidationError, HTTPException),
    *(redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, redis.exceptions.ResponseError),
    *(BlobsAway, NoBlobStore, Corrupt),
)


def install(app: FastAPI) -> None:
    """Turn every error of a request into a problem."""

    async def answered(request: Request, error: Exception) -> Response:
        return as_problem(error).response(request)

    for kind in (*KNOWN_ERRORS, Exception):
        app.add_exception_handler(kind, answered)
