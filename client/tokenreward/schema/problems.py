"""Error bodies: application/problem+json, RFC 9457."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from tokenreward.schema.wire import AnswerModel


class PointedError(AnswerModel):
    """One thing that is wrong in a request.

    Attributes:
        pointer: A JSON pointer, or `line N`.
        detail: What is wrong there.
    """

    pointer: str
    detail: str


class Problem(BaseModel):
    """An error body: application/problem+json, RFC 9457.

    Attributes:
        type: A URI that names the kind of problem.
        title: The kind in words.
        status: The HTTP status.
        detail: What is wrong with this request, and what to do.
        instance: A URI that names this occurrence.
        errors: Each thing that is wrong, with its place.
    """

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str | None = None
    errors: list[PointedError] = []
