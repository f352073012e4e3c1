"""The options of a job, and the bodies that carry them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from tokenreward.schema.templates import Template
from tokenreward.schema.wire import WireModel

Include = Literal["logprobs", "tokens"]


class JobOptions(WireModel):
    """How a job's items are scored and what comes back.

    Attributes:
        model: A served model's name, or `name@fingerprint` to insist on one worker set-up. None means the only model.
        template: A shipped template's name, or a template of the caller's own.
        estimator: A shipped estimator's name.
        include: What is returned beside token ids and rewards.
        strict: Refuse the whole job (422) if any item is wrong, instead of giving that item its own error.
    """

    model: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    template: str | Template = "revision"
    estimator: Annotated[str, Field(min_length=1, max_length=64)] = "contrast"
    include: list[Include] = Field(default=[])
    strict: StrictBool = False


class JobRequest(JobOptions):
    """The JSON body of `POST /v1/jobs` and `POST /v1/label`.

    Attributes:
        items: The items. They are checked one by one, so that each can get an error of its own.
    """

    items: Annotated[list[Any], Field(min_length=1)]
