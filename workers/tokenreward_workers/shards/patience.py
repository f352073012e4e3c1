"""Calls to the job store and the blob store that wait for them: scored work is worth waiting with."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

import redis

from tokenreward.protocol import refusals
from tokenreward.protocol.spill import BlobsAway

log = logging.getLogger(__name__)

_PAUSE = 1.0

T = TypeVar("T")


def patiently(call: Callable[[], T], draining: threading.Event) -> T:
    """Call again and again while Redis or the blob store is away or full, but not once the worker drains.

    Args:
        call: What to do; it must do no harm a second time.
        draining: Set when the worker has been told to stop.

    Raises:
        RedisError, BlobsAway: It will not pass, or there is no more time to wait.
    """
    while True:
        try:
            return call()
        except (redis.RedisError, BlobsAway) as error:
            lasting = isinstance(error, redis.ResponseError) and not refusals.passes(error)
            if lasting or draining.is_set():
                raise
            log.warning("waiting: %s", refusals.reason(error) if isinstance(error, redis.RedisError) else error)
            draining.wait(_PAUSE)
