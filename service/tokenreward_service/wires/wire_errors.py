"""Errors in the shapes that the clients of each wire read, for every refusal on the way through a route.

Shapes: vLLM 0.32, `vllm/entrypoints/serve/engine/protocol.py` (`ErrorResponse`); SGLang 0.5.23,
`sglang/srt/entrypoints/http_server.py` (`_create_error_response`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import to_json

from tokenreward_service.problems import KNOWN_ERRORS, ProblemError, as_problem


class VllmErrorInfo(BaseModel):
    """What is wrong, as vLLM and OpenAI say it.

    Attributes:
        message: What is wrong, and what to do.
        type: The kind of error, such as `BadRequestError`.
        param: The field that is wrong, where it is one.
        code: The HTTP status.
    """

    message: str
    type: str
    param: str | None = None
    code: int


class VllmError(BaseModel):
    """The body of an error on vLLM's wires (its `ErrorResponse`)."""

    error: VllmErrorInfo


class SglangErrorInfo(BaseModel):
    """What is wrong, as SGLang says it.

    Attributes:
        message: What is wrong, and what to do.
    """

    message: str


class SglangError(BaseModel):
    """The body of an error on SGLang's wire (its `_create_error_response`)."""

    error: SglangErrorInfo


#: The types of vLLM's errors that are not named after the phrase of their status.
_TYPES = {400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError", 503: "ServiceUnavailableError"}

_WHY = {
    400: "Malformed or refused request; nothing was scored",
    401: "API key needed; none was sent, or it is unknown or revoked",
    403: "Not allowed; the key lacks the scope",
    404: "No such model",
    413: "Too large; the body, or the number of sequences",
    415: "Unsupported media type; or content coding",
    429: "Too busy; nothing was accepted, come back after `Retry-After` seconds",
    503: "Service unavailable; no worker or no job store, or the scores took too long: come back after `Retry-After`",
}


def _vllm(problem: ProblemError) -> BaseModel:
    status = _status(problem)
    kind = _TYPES.get(status, HTTPStatus(status).phrase)
    return VllmError(error=VllmErrorInfo(message=_message(problem), type=kind, param=_field(problem), code=status))


def _sglang(problem: ProblemError) -> BaseModel:
    return SglangError(error=SglangErrorInfo(message=_message(problem)))


class _WireRoute(APIRoute):
    """A route whose errors have a wire's own shape."""

    shape: Callable[[ProblemError], BaseModel]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except KNOWN_ERRORS as error:
                problem = as_problem(error)
                body = to_json(type(self).shape(problem))
                return Response(body, _status(problem), headers=problem.headers, media_type="application/json")

        return answered


class VllmRoute(_WireRoute):
    """A route of vLLM's."""

    shape = staticmethod(_vllm)


class SglangRoute(_WireRoute):
    """A route of SGLang's."""

    shape = staticmethod(_sglang)


def error_responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's `responses` of a wire: every status that its routes refuse with."""
    return {status: {"model": model, "description": why} for status, why in _WHY.items()}


def _status(problem: ProblemError) -> int:
    """The status on a wire: both servers say 400 where we say 422, and vLLM says 404 of a model that is not served."""
    status = problem.problem.status
    if status != 422:
        return status
    return 404 if _field(problem) == "model" else 400


def _field(problem: ProblemError) -> str | None:
    return problem.problem.errors[0].pointer.strip("/") if problem.problem.errors else None


def _message(problem: ProblemError) -> str:
    told = problem.problem
    pointed = "; ".join(f"{error.pointer.strip('/')}: {error.detail}" for error in told.errors)
    return told.detail or pointed or told.title
