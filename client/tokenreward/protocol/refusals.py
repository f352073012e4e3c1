"""What the store refuses now and will take later: one list for the service, which answers 503, and for the workers,
which wait.
"""

from __future__ import annotations

import re

import redis.exceptions

#: Refusals that end when an operator has made room, the server has come up, or a replica is back.
_PASSING = ("MISCONF", "LOADING", "BUSY", "NOREPLICAS")
#: Those of which redis-py makes a class of its own, whose text begins after the code.
_PASSING_KINDS = (redis.exceptions.OutOfMemoryError, redis.exceptions.ReadOnlyError)
_OF_PIPELINE = " of pipeline caused error: "
#: An async pipeline writes the error's arguments there, as Python shows a tuple of one.
_ARGUMENTS = re.compile(r"""\((['"])(.*)\1,\)""", re.DOTALL)


def reason(error: redis.exceptions.RedisError) -> str:
    """What the server said. In a pipeline, redis-py puts the command in front, which may hold a part of an item."""
    _, of_pipeline, said = str(error).rpartition(_OF_PIPELINE)
    shown = _ARGUMENTS.fullmatch(said) if of_pipeline else None
    return shown[2] if shown else said


def passes(error: redis.exceptions.ResponseError) -> bool:
    """Whether the same command may be taken later."""
    return isinstance(error, _PASSING_KINDS) or reason(error).startswith(_PASSING)
