"""A job as the service reports it."""

from __future__ import annotations

from pydantic import Field

from tokenreward.schema.job_state import JobState
from tokenreward.schema.options import Include
from tokenreward.schema.origin import Origin
from tokenreward.schema.provenance import Provenance
from tokenreward.schema.results import ItemResult, drawing
from tokenreward.schema.wire import AnswerModel


class Waiting(AnswerModel):
    """Why a job stands still: no live worker has its set-up.

    Attributes:
        model: What the job is pinned to, `model@fingerprint`.
        served: The set-ups of the same model that are served now, `model@fingerprint` each, the newest first.
        retry: Whether `POST /v1/jobs/{id}/retry` pins the job to the first of them.
        message: The same for people, and what they can do.
    """

    model: str
    served: list[str]
    retry: bool
    message: str


class Job(AnswerModel):
    """A snapshot of one job. Times are Unix seconds.

    Attributes:
        id: The job's id, 32 hex digits.
        state: Where the job is in its life.
        version: Grows with every change.
        created_at: When the service accepted it.
        started_at: When the first worker began, or None; a retry begins anew.
        finished_at: When it was over, or None.
        total_items: All items.
        done_items: Items with an outcome.
        failed_items: Those of the done items whose outcome is an error.
        invalid_items: Items that were wrong when they came. They will get, or have got, an error for that.
        tokens_estimated: Tokens of the whole job, estimated before tokenization.
        tokens_done: Tokens that an engine without a prefix cache would have read for items that have rewards, over all
            branches.
        tokens_per_second: The present rate, or None.
        eta_seconds: The time left at that rate, or None until there is a rate.
        model: The model's name.
        template: The template's name.
        estimator: The estimator's name.
        include: What the results hold beside token ids and rewards.
        provenance: Where the rewards come from.
        origin: What its items are from, as far as its sender said.
        emptied: Whether its items and results were removed. The record stays until the job expires or is deleted; the
            counts are then those of all emptied jobs with the same `origin.run`.
        waiting: Why nothing happens, if no live worker has the job's set-up; None otherwise, and once the job is over.
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
    include: list[Include] = Field(default=[])
    provenance: Provenance
    origin: Origin | None = None
    emptied: bool = False
    waiting: Waiting | None = None

    @property
    def all_failed(self) -> bool:
        """Whether the job is over and none of its items has rewards. Its state is `succeeded` all the same."""
        return self.state is JobState.succeeded and 0 < self.total_items == self.failed_items


class LabelResponse(AnswerModel):
    """The answer of `POST /v1/label` with status 200.

    Attributes:
        job: The finished job.
        results: One for each item, in input order.
        provenance: Where the rewards came from.
    """

    job: Job
    results: list[ItemResult]
    provenance: Provenance

    def show(self) -> None:
        """Print every response as a heat map. Their texts are there if `include` had "tokens"."""
        drawing().print_results(self.results, self.provenance.model_dump(mode="json"))

    def _repr_html_(self) -> str:
        html: str = drawing().as_html(self.results)
        return html
