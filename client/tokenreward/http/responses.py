"""Reading replies: schema objects where the service accepted the request, exceptions where it did not."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tokenreward.errors import BadInput, ConnectionFailed, ItemError, JobFailed, Rejected, Unavailable
from tokenreward.http.exchange import Reply
from tokenreward.schema import AdapterInfo, EstimatorInfo, Job, JobState, LabelResponse, ModelInfo, Problem, Template

Model = TypeVar("Model", bound=BaseModel)

#: Statuses that mean "not now": nothing was accepted, and the same request may succeed later.
NOT_NOW = frozenset({429, 502, 503, 504})


class _Models(BaseModel):
    models: list[ModelInfo]


class _Adapters(BaseModel):
    adapters: list[AdapterInfo]


class _Templates(BaseModel):
    templates: list[Template]


class _Estimators(BaseModel):
    estimators: list[EstimatorInfo]


class _Worker(BaseModel):
    model: str
    fingerprint_digest: str
    tokens_per_second: float | None = None


class _Workers(BaseModel):
    workers: list[_Worker]


class _Health(BaseModel):
    status: str


def read(model: type[Model], reply: Reply) -> Model:
    """Parse the reply's body as `model`. Fields that a newer service added are ignored.

    Raises:
        ConnectionFailed: The body is something else, as from another server.
    """
    try:
        return model.model_validate_json(reply.body, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(map(str, first["loc"]))
        raise ConnectionFailed(
            f"the answer is not a tokenreward {model.__name__} ({where}: {first['msg']}); is this the right address?"
        ) from None


def models(reply: Reply) -> list[ModelInfo]:
    """Read the answer of `GET /v1/models`."""
    return read(_Models, reply).models


def only_model(known: Sequence[ModelInfo]) -> str:
    """Return the name of the only model that is served, or that was if none is now.

    Raises:
        BadInput: There is none, or there are several.
    """
    names = {info.name for info in known if info.workers} or {info.name for info in known}
    if len(names) != 1:
        raise BadInput(f"name the model that the adapter belongs to; served: {', '.join(sorted(names)) or 'none'}")
    return names.pop()


def adapters(reply: Reply) -> list[AdapterInfo]:
    """Read the answer of `GET /v1/models/{model}/adapters`."""
    return read(_Adapters, reply).adapters


def templates(reply: Reply) -> list[Template]:
    """Read the answer of `GET /v1/templates`."""
    return read(_Templates, reply).templates


def estimators(reply: Reply) -> list[EstimatorInfo]:
    """Read the answer of `GET /v1/estimators`."""
    return read(_Estimators, reply).estimators


def tokens_per_second(reply: Reply, model: str | None) -> float | None:
    """Read the answer of `GET /v1/workers`: the measured speed of all live workers of a model, or None."""
    speeds = [w.tokens_per_second for w in read(_Workers, reply).workers if model is None or _serves(w, model)]
    return sum(known) if (known := [speed for speed in speeds if speed]) else None


def health(reply: Reply) -> str:
    """Read the answer of `GET /healthz`."""
    return read(_Health, reply).status


def refusal(reply: Reply) -> Rejected | None:
    """Return the exception that a reply stands for, or None for a success."""
    if 200 <= reply.status < 300:
        return None
    kind = Unavailable if reply.status in NOT_NOW else Rejected
    return kind(_problem(reply))


def successful(job: Job) -> Job:
    """Return `job` if it succeeded. Its items may still have errors of their own.

    Raises:
        JobFailed: The job was cancelled, or is not over.
    """
    if job.state is not JobState.succeeded:
        raise JobFailed(job)
    return job


def checked(answer: LabelResponse, strict: bool) -> LabelResponse:
    """Return `answer`, which with `strict` must have rewards for every item.

    Raises:
        ItemError: With `strict`, for the first item without rewards; without it, if every item was wrong as it came.
    """
    failed = [(result.index, result.error) for result in answer.results if result.error is not None]
    every_one_wrong = len(failed) == len(answer.results) and all(error.code == "invalid_item" for _, error in failed)
    if failed and (strict or every_one_wrong):
        index, error = failed[0]
        raise ItemError(index, error, len(failed))
    return answer


def _serves(worker: _Worker, model: str) -> bool:
    return model in {worker.model, f"{worker.model}@{worker.fingerprint_digest}"}


def _problem(reply: Reply) -> Problem:
    try:
        return Problem.model_validate_json(reply.body)
    except ValidationError:  # the page of a proxy, or of another server
        try:
            title = HTTPStatus(reply.status).phrase
        except ValueError:
            title = "Unknown answer"
        return Problem(title=title, status=reply.status, detail=reply.body[:200].decode("utf-8", "replace").strip())
