"""The wire schema, version 1: what clients, the service and the workers say to each other.

Everything here is a frozen pydantic model with its shapes and units in the docstring. Nothing in this
module does work; it is the vocabulary the rest of the system is written in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

#: Bumped only when the same input may give other log-probs, so that a rolling upgrade does not strand jobs.
SCORING_VERSION = 1


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def digest(content: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of `content`, as 16 hex digits."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# ---- what is sent -------------------------------------------------------------------------------------


class Message(_Wire):
    """One chat message. `role` is what the model's chat template understands: user, assistant, system, ..."""

    role: Annotated[str, Field(min_length=1, max_length=64)]
    content: str


Prompt = str | Annotated[list[Message], Field(min_length=1)]


class Item(_Wire):
    """One response to be labeled.

    Exactly one of `response` (text, tokenized by the model's chat template, with the end-of-turn token
    appended unless `finished` is false) and `token_ids` (used untouched) must be given.
    """

    prompt: Prompt
    response: str | None = None
    token_ids: list[Annotated[int, Field(ge=0, lt=2**31, strict=True)]] | None = None
    id: Annotated[str, Field(max_length=512)] | None = None
    finished: StrictBool = True

    @model_validator(mode="after")
    def _one_response(self) -> Item:
        if (self.response is None) == (self.token_ids is None):
            raise ValueError("give either `response` (text) or `token_ids`, not both and not neither")
        if self.response == "" or self.token_ids == []:
            raise ValueError("the response is empty: there is no token to reward")
        if self.prompt == "":
            raise ValueError("the prompt is empty")
        return self


#: A template's own words. Whoever needs more of them puts them into the prompt.
_TemplateText = Annotated[str, Field(max_length=20_000)]


class Branch(_Wire):
    """One named context under which the response is scored.

    Either `conversation` is true (the bare prompt, as a chat model would have seen it) or the branch is one
    user message: `context` (the template's own where absent), then `directive`.
    """

    context: _TemplateText | None = None
    directive: _TemplateText = ""
    conversation: bool = False


class Template(_Wire):
    """Named branches as data. `{prompt}` and `{response}` are replaced literally, never evaluated."""

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
    description: str = ""
    context: _TemplateText = ""
    branches: Annotated[dict[str, Branch], Field(min_length=1, max_length=16)]

    @property
    def hash(self) -> str:
        """Of what may change a log-prob: the description is left out."""
        return digest(self.model_dump(exclude={"description"}))


Include = Literal["logprobs", "tokens"]


class JobOptions(_Wire):
    """How a job's items are scored and what comes back.

    model: a served model's name, or `name@fingerprint` to insist on one worker set-up; None: the only model.
    template: a shipped template's name, or a template of the caller's own.
    estimator: a shipped estimator's name.
    include: what to return beside token ids and rewards.
    strict: refuse the whole job (422) if any item is wrong, instead of giving that item its own error.
    """

    model: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    template: str | Template = "revision"
    estimator: Annotated[str, Field(min_length=1, max_length=64)] = "contrast"
    include: list[Include] = []
    strict: StrictBool = False


class JobRequest(JobOptions):
    """The JSON body of `POST /v1/jobs` and `POST /v1/label`. Items are checked one by one."""

    items: Annotated[list[Any], Field(min_length=1)]


class RenderRequest(_Wire):
    """The body of `POST /v1/render`: what would each branch say for this item?"""

    item: Item
    template: str | Template = "revision"


class RenderedBranch(_Wire):
    messages: list[Message]


class Rendered(_Wire):
    template: str
    template_hash: str
    branches: dict[str, RenderedBranch]


# ---- what comes back ------------------------------------------------------------------------------------


class _Answer(_Wire):
    # Unknown fields are those of a newer version, whose records and answers an older one meets in an upgrade.
    model_config = ConfigDict(extra="ignore")


class JobState(StrEnum):
    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    cancelled = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({JobState.succeeded, JobState.cancelled})


class Fingerprint(_Answer):
    """Everything that may change a worker's log-probs. A job is pinned to one.

    model: the name clients ask for.  model_hash: of the weights.  tokenizer_hash: canonical, of vocabulary,
    merges, normaliser and special tokens, not of file bytes.  dtype: bfloat16, float32, ...
    """

    model: str
    model_hash: str
    tokenizer_hash: str
    engine: str
    engine_version: str
    dtype: str
    scoring_version: int = SCORING_VERSION

    @property
    def digest(self) -> str:
        return digest(self.model_dump())


class Provenance(_Answer):
    """Where a set of rewards came from. No reward without it."""

    fingerprint: Fingerprint
    fingerprint_digest: str
    template: str
    template_hash: str
    estimator: str
    estimator_hash: str
    tokenreward_version: str


class ItemFailure(_Answer):
    """Why one item has no rewards: a stable `code` for programs, a `message` for people.

    Codes: invalid_item, too_long, token_out_of_vocabulary, bad_template, non_finite, engine_error, poison,
    cancelled.
    """

    code: str
    message: str
    pointer: str | None = None


class ItemResult(_Answer):
    """One line of a result set, in input order.

    token_ids: int [T], the completion to train on, end-of-turn token included.
    rewards: float32 [T] in [-0.5, 0.5], one per token of `token_ids`.
    logprobs: on request, branch name -> float32 [T], natural logarithm.
    tokens, offsets: on request, each token's text and its [start, end) characters in the response text; a
        token that is no part of the text (end of turn) has an empty span at its end.
    error: instead of all the above, why there is none.
    """

    index: int
    id: str | None = None
    token_ids: list[int] | None = None
    rewards: list[float] | None = None
    logprobs: dict[str, list[float]] | None = None
    tokens: list[str] | None = None
    offsets: list[tuple[int, int]] | None = None
    error: ItemFailure | None = None


class ResultsEnd(_Answer):
    """The last line of a result set: `next` resumes there (`?from=`), `complete` says nothing will follow."""

    next: int
    complete: bool
    provenance: Provenance


class Job(_Answer):
    """A whole snapshot of one job. `version` grows with every change. Times are Unix seconds.

    done_items counts items with an outcome, failed_items those among them whose outcome is an error;
    invalid_items counts those that were wrong when they came and will get (or have got) an error for that;
    tokens_estimated is of the whole job before tokenization, tokens_done counts what the engine
    would have to read for the items done (all branches); eta_seconds is None until there is a rate.
    """

    id: str
    state: JobState
    version: int
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    total_items: int
    done_items: int = 0
    failed_items: int = 0
    invalid_items: int = 0
    tokens_estimated: int = 0
    tokens_done: int = 0
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    model: str
    template: str
    estimator: str
    include: list[Include] = []
    provenance: Provenance


class LabelResponse(_Answer):
    """The 200 of `POST /v1/label`."""

    job: Job
    results: list[ItemResult]
    provenance: Provenance


class ModelInfo(_Answer):
    """A model some worker serves, or has served (`workers` is then 0)."""

    name: str
    fingerprint: Fingerprint
    fingerprint_digest: str
    workers: int
    max_tokens: int


class EstimatorInfo(_Answer):
    name: str
    branches: list[str]
    formula: str
    hash: str


class PointedError(_Answer):
    """One thing that is wrong: where (a JSON pointer, or `line N`) and what."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """An error body: application/problem+json, RFC 9457."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str | None = None
    errors: list[PointedError] = []
