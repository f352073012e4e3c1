"""What the store refuses now and will take later: one list for the service, which answers 503, and for the workers,
which wait.
"""

from __future__ import annotations

import redis.exceptions

#: Refusals that end when an operator has made room, the server has come up, or a replica is back.
_PASSING = ("OOM", "MISCONF", "LOADING", "READONLY", "BUSY", "NOREPLICAS")
_OF_PIPELINE = " of pipeline caused error: "


def reason(error: redis.exceptions.RedisError) -> str:
    """What the server said. In a pipeline, redis-py puts the command in front, which may hold a part of an item."""
    return str(error).rpartition(_OF_PIPELINE)[2]


def passes(error: redis.exceptions.ResponseError) -> bool:
    """Whether the same command may be taken later."""
    return reason(error).startswith(_PASSING)
