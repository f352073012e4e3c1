"""The states of a job."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """The state of a job. `succeeded` means that every item has an outcome, which may be an error.

    A job whose items all failed is `succeeded`, too, with `failed_items` as many as `total_items`: a state that clients
    of an earlier version do not know would break them.
    """

    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    cancelled = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the job is over. Only a retry leads back from there."""
        return self in TERMINAL


TERMINAL = frozenset({JobState.succeeded, JobState.cancelled})
