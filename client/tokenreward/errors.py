"""Every exception that a user of the SDK can meet, as one small tree under `TokenRewardError`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenreward.schema import ItemFailure, Job, Problem


class TokenRewardError(Exception):
    """The root of all exceptions below."""


class ConnectionFailed(TokenRewardError):
    """No answer came from the service, after the retries that were safe.

    The connection was refused, timed out or broke off.
    """


class Rejected(TokenRewardError):
    """The service refused the request and accepted nothing.

    Attributes:
        problem: The RFC 9457 body, whose `errors` point at what is wrong.
        status: The HTTP status.
    """

    def __init__(self, problem: Problem) -> None:
        lines = [f"{problem.title} (HTTP {problem.status})"]
        if problem.detail:
            lines.append(problem.detail)
        lines += [f"  {error.pointer}: {error.detail}" for error in problem.errors[:10]]
        if len(problem.errors) > 10:
            lines.append(f"  ... and {len(problem.errors) - 10} more")
        super().__init__("\n".join(lines))
        self.problem = problem
        self.status = problem.status


class Unavailable(Rejected):
    """The service answers, but cannot serve now (429, 502, 503 or 504), after the retries that were safe."""


class ItemError(TokenRewardError):
    """One item has no rewards, or none of several has.

    Attributes:
        index: The place of the first of them in the input, from 0.
        failure: Why.
    """

    def __init__(self, index: int, failure: ItemFailure, failed: int = 1) -> None:
        more = f" (and {failed - 1} more)" if failed > 1 else ""
        super().__init__(f"item {index}: {failure.message} [{failure.code}]{more}")
        self.index = index
        self.failure = failure


class JobFailed(TokenRewardError):
    """The job was cancelled.

    Attributes:
        job: Its last snapshot.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} {job.state}: no rewards for the items that were not finished")
        self.job = job


class WaitTimeout(TokenRewardError):
    """The time given to wait for a job is over. The job goes on.

    Attributes:
        job: Its last snapshot.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.id} is still {job.state} with {job.done_items} of {job.total_items} items done")
        self.job = job


class BadInput(TokenRewardError):
    """A file, row, setting or argument is wrong. The message says where, and what to do."""


class UnknownName(BadInput):
    """There is no template, estimator, model or command of that name.

    Attributes:
        kind: What the name is of.
        name: The name.
    """

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        choices = ", ".join(known) if known else "none"
        close = difflib.get_close_matches(name, known, 1)
        guess = f" (did you mean {close[0]!r}?)" if close else ""
        super().__init__(f"unknown {kind} {name!r}{guess}; known: {choices}")
        self.kind = kind
        self.name = name
