"""Calls that take several requests: waiting for a job, and labeling within one call.

Each is a generator, see `exchange.Operation`, so that the sync and the async client cannot differ in it.
"""

from __future__ import annotations

import time

from tokenreward.errors import WaitTimeout
from tokenreward.http import endpoints, responses
from tokenreward.http.exchange import Operation, Pause, Request
from tokenreward.http.retries import send
from tokenreward.schema import Job, LabelResponse


def wait_for_job(job_id: str, timeout: float | None, patience: float) -> Operation[Job]:
    """Return the job once it is over, however it ended.

    Raises:
        WaitTimeout: The job was not over after `timeout` seconds. It goes on.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = 0.1
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        tried = patience if left is None else min(patience, left)
        job = responses.read(Job, (yield from send(endpoints.job(job_id, left), tried)))
        if job.state.terminal:
            return job
        next_pause = pause if deadline is None else min(pause, deadline - time.monotonic())
        if next_pause <= 0:
            raise WaitTimeout(job)
        yield Pause(next_pause)
        pause = min(2.0, pause * 1.5)


def label_now(request: Request, timeout: float | None, patience: float) -> Operation[LabelResponse | Job]:
    """Send `POST /v1/label` and wait for the rewards.

    Returns:
        The answer, or the finished job if it took longer than the service would hold the request.
    """
    started = time.monotonic()
    reply = yield from send(request, patience if timeout is None else min(patience, timeout))
    if reply.status == 200:
        return responses.read(LabelResponse, reply)
    job = responses.read(Job, reply)
    left = None if timeout is None else max(0.0, timeout - (time.monotonic() - started))
    return (yield from wait_for_job(job.id, left, patience))
