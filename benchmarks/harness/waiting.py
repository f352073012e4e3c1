"""How long to wait for something: longer on a slow or a busy machine, and never for ever.

Every wait in the tests names the seconds that it may take on two quiet cores. `patience` stretches them by the speed of
this machine's processor and by the load on it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx2
import redis

#: The environment variable that replaces the measured factor with a number.
OVERRIDE = "PATIENCE_FACTOR"
#: The largest factor, so that a hang ends.
MOST = 8.0
#: What the loop of `_loop` takes on the machine on which the waits were chosen.
_NOMINAL_SECONDS = 0.0110


def patience(seconds: float) -> float:
    """Returns how many seconds to wait on this machine, now, for what takes at most `seconds` on two quiet cores."""
    return seconds * factor()


def factor() -> float:
    """Returns how many times longer than on two quiet cores things may take now, in [1, MOST].

    It is the slowness of the processor times the load per core, by the higher of the averages over one and five
    minutes. Either counts only if it makes the wait longer.
    """
    if override := os.environ.get(OVERRIDE):
        return float(override)
    load = max(os.getloadavg()[:2]) / (os.cpu_count() or 1)
    return min(_slowness() * max(1.0, load), MOST)


@cache
def _slowness() -> float:
    """Returns how many times slower than nominal this processor is, at least 1. The best of a few short runs counts."""
    return max(1.0, min(_loop() for _ in range(5)) / _NOMINAL_SECONDS)


def _loop() -> float:
    began = time.thread_time()
    total = 0
    for n in range(200_000):
        total += n * n % 7
    return time.thread_time() - began


def wait_for(condition: Callable[[], Any], seconds: float = 30.0, what: str = "condition") -> Any:
    """Waits until `condition` returns something true, and returns that.

    Args:
        condition: What is asked 20 times a second. An error of a connection counts as "not yet".
        seconds: The time that it may take on two quiet cores. The load is looked at again while this waits.
        what: The words that stand for the condition in the error.

    Raises:
        AssertionError: The condition did not come about in time.
    """
    began = time.monotonic()
    while (waited := time.monotonic() - began) < patience(seconds):
        with contextlib.suppress(httpx2.TransportError, redis.RedisError):
            if value := condition():
                return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come about within {waited:.0f} s ({seconds} s on two quiet cores)")
