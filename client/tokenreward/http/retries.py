"""The rules of retrying: which requests are sent again, when, and for how long.

A request is sent again if that is safe: if the server cannot have seen it, if a second time does no harm, or if the
answer says that nothing was accepted. Delays grow and are jittered, and they end when the caller's patience does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tokenreward.errors import ConnectionFailed
from tokenreward.http import responses
from tokenreward.http.exchange import Broken, Operation, Outcome, Pause, Reply, Request

Clock = Callable[[], float]


class Backoff:
    """Delays that double from 0.25 s to 8 s, each drawn from the upper half of its range.

    They end once `patience` seconds are spent.
    """

    def __init__(self, patience: float, clock: Clock = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Begin anew, after progress."""
        self._delay = 0.25
        self._deadline = self._clock() + self._patience

    def next(self, at_least: float = 0.0) -> float | None:
        """Return the seconds until the next try, or None if that try would be past the deadline."""
        delay = max(at_least, self._delay * random.uniform(0.5, 1.0))
        self._delay = min(8.0, self._delay * 2)
        return delay if self._clock() + delay <= self._deadline else None


def send(request: Request, patience: float) -> Operation[Reply]:
    """Send one request, and send it again where that is safe, until it succeeds.

    Args:
        request: What is sent.
        patience: Seconds after which no further try begins.

    Raises:
        ConnectionFailed: No answer came.
        Rejected: The service refused the request.
        Unavailable: The service could not serve for as long as it was tried.
    """
    backoff = Backoff(patience)
    broke = False
    while True:
        outcome = yield request
        if isinstance(outcome, Reply):
            error = responses.refusal(outcome)
            if error is None or (broke and outcome.status == request.already):
                return outcome
        broke = broke or isinstance(outcome, Broken)
        delay = backoff.next(retry_after(outcome)) if may_try_again(request, outcome) else None
        if delay is not None:
            yield Pause(delay, outcome.reason if isinstance(outcome, Broken) else str(error))
        elif isinstance(outcome, Reply):
            assert error is not None
            raise error
        else:
            assert isinstance(outcome, Broken)
            raise ConnectionFailed(outcome.reason)


def may_try_again(request: Request, outcome: Outcome) -> bool:
    """Return whether it is safe, and worth a try, to send `request` again after `outcome`."""
    if isinstance(outcome, Broken):
        return request.repeatable or not outcome.sent
    assert outcome is not None
    in_flight = outcome.status == 409 and "idempotency-key" in request.headers
    return outcome.status in responses.NOT_NOW or in_flight


def retry_after(outcome: Outcome) -> float:
    """Return the seconds that the server asks to wait in `Retry-After`, or 0 if it does not."""
    value = outcome.headers.get("retry-after", "") if isinstance(outcome, Reply) else ""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
