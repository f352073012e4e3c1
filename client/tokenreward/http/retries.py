"""Operations of several steps, without I/O: each is a generator that yields what it needs done.

`reply = yield Request(...)` and `yield Pause(seconds)`; a shell performs them and sends the outcome back, so that
the sync and the async client cannot differ in what they retry or how long they wait.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tokenreward.errors import ConnectionFailed, WaitTimeout
from tokenreward.http import endpoints
from tokenreward.http.exchange import Broken, Flow, Pause, Reply, Request
from tokenreward.schema import Job, LabelResponse

Clock = Callable[[], float]


class Backoff:
    """Delays that double from 0.25 s to 8 s, each drawn from its upper half, until `patience` seconds are spent."""

    def __init__(self, patience: float, clock: Clock = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Begins anew, after progress."""
        self._delay = 0.25
        self._deadline = self._clock() + self._patience

    def next(self, at_least: float = 0.0) -> float | None:
        """Seconds until the next try; None if that would be past the deadline."""
        delay = max(at_least, self._delay * random.uniform(0.5, 1.0))
        self._delay = min(8.0, self._delay * 2)
        return delay if self._clock() + delay <= self._deadline else None


def exchange(request: Request, patience: float) -> Flow[Reply]:
    """One request, tried again where that is safe, until it succeeds.

    Raises ConnectionFailed, Rejected or Unavailable.
    """
    backoff = Backoff(patience)
    broke = False
    while True:
        outcome = yield request
        if isinstance(outcome, Reply):
            error = endpoints.refusal(outcome)
            if error is None or (broke and outcome.status == request.already):
                return outcome
        broke = broke or isinstance(outcome, Broken)
        delay = backoff.next(retry_after(outcome)) if may_try_again(request, outcome) else None
        if delay is not None:
            yield Pause(delay)
        elif isinstance(outcome, Reply):
            assert error is not None
            raise error
        else:
            assert isinstance(outcome, Broken)
            raise ConnectionFailed(outcome.reason)


def may_try_again(request: Request, outcome: Reply | Broken | None) -> bool:
    if isinstance(outcome, Broken):
        return request.repeatable or not outcome.sent
    assert outcome is not None
    in_flight = outcome.status == 409 and "idempotency-key" in request.headers
    return outcome.status in endpoints.NOT_NOW or in_flight


def retry_after(outcome: Reply | Broken | None) -> float:
    """Seconds that the server asks to wait; 0 if it does not."""
    value = outcome.headers.get("retry-after", "") if isinstance(outcome, Reply) else ""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def wait(job_id: str, timeout: float | None, patience: float) -> Flow[Job]:
    """The job once it is over. Raises WaitTimeout, which leaves the job running."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = 0.1
    while True:
        job = endpoints.read(Job, (yield from exchange(endpoints.job(job_id), patience)))
        if job.state.terminal:
            return job
        left = pause if deadline is None else min(pause, deadline - time.monotonic())
        if left <= 0:
            raise WaitTimeout(job)
        yield Pause(left)
        pause = min(2.0, pause * 1.5)


def label(request: Request, timeout: float | None, patience: float) -> Flow[LabelResponse | Job]:
    """The answer of `POST /v1/label`, or the finished job if it took longer than the service would wait."""
    started = time.monotonic()
    reply = yield from exchange(request, patience)
    if reply.status == 200:
        return endpoints.read(LabelResponse, reply)
    job = endpoints.read(Job, reply)
    left = None if timeout is None else max(0.0, timeout - (time.monotonic() - started))
    return (yield from wait(job.id, left, patience))
