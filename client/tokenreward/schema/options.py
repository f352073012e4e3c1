"""The options of a job, and the bodies that carry them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from tokenreward.schema.candidates import MOST_CANDIDATES
from tokenreward.schema.origin import Origin
from tokenreward.schema.templates import Template
from tokenreward.schema.wire import WireModel

Include = Literal["logprobs", "tokens", "difference", "segments", "moments", "top", "named"]

#: How many of the most likely ids `include` 'top' gives where a request does not say.
TOP_K = 20

#: What rewards are pooled over: kinds of segments, or the item's own spans.
Pool = Literal["word", "sentence", "line", "step", "spans"]
PoolBy = Literal["mean", "min", "sum"]


class JobOptions(WireModel):
    """How a job's items are scored and what comes back.

    Attributes:
        model: A served model's name, or `name@fingerprint` to insist on one worker set-up. None means the only model.
        template: A shipped template's name, or a template of the caller's own. None means the estimator's own.
        estimator: A shipped estimator's name.
        parameters: Parameters of the estimator that take another value than their default.
        pool: Give every token of a segment the segment's reward: of its word, sentence, line or step, or of the item's
            own `spans`.
        pool_by: A segment's reward is the mean, the least or the sum of its tokens' rewards. A sum is cut at
            plus and minus 0.5, unless the estimator is unbounded.
        models: What scores a branch in place of the template's `model`, by the branch's name, or by the name that the
            template has for the model: `{"policy": "dpo@1f..."}`.
        include: What is returned beside token ids and rewards.
        top_k: How many of the most likely ids, with their log-probs, `top` gives at each token.
        strict: Refuse the whole job (422) if any item is wrong, instead of giving that item its own error.
        origin: What the items are from, for lists of jobs.
    """

    model: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    template: str | Template | None = None
    estimator: Annotated[str, Field(min_length=1, max_length=64)] = "contrast"
    parameters: Annotated[dict[str, StrictInt | StrictFloat], Field(max_length=16)] = Field(default={})
    pool: Pool | None = None
    pool_by: PoolBy = "mean"
    models: Annotated[dict[str, Annotated[str, Field(min_length=1, max_length=512)]], Field(max_length=16)] = Field(
        default={}
    )
    include: list[Include] = Field(default=[], fail_fast=True)
    top_k: Annotated[int, Field(ge=1, le=MOST_CANDIDATES, strict=True)] = TOP_K
    strict: StrictBool = False
    origin: Origin | None = None

    @model_validator(mode="after")
    def _segments_need_a_pool(self) -> JobOptions:
        if "segments" in self.include and self.pool is None:
            raise ValueError("include 'segments' needs `pool`, which says what a segment is")
        return self

    @model_validator(mode="after")
    def _top_k_is_of_top(self) -> JobOptions:
        if self.top_k != TOP_K and "top" not in self.include:
            raise ValueError("`top_k` needs include 'top', which gives the most likely ids")
        return self


class JobRequest(JobOptions):
    """The JSON body of `POST /v1/jobs` and `POST /v1/label`.

    Attributes:
        items: The items. They are checked one by one, so that each can get an error of its own.
    """

    items: Annotated[list[Any], Field(min_length=1)]
