"""What passes and what does not, as redis-py raises it: alone, and out of pipelines."""

from __future__ import annotations

from typing import Any

import pytest
import redis
import redis.asyncio
from redis._parsers import BaseParser

from tokenreward.protocol import refusals

ITEM = "a prompt of pipeline caused error: that says ('OOM',)"


def raised(told: str, pipeline: str) -> Any:
    error = BaseParser.parse_error(told)
    if pipeline == "sync":
        redis.Redis().pipeline().annotate_exception(error, 2, ["HSET", "key", ITEM])
    if pipeline == "async":
        redis.asyncio.Redis().pipeline().annotate_exception(error, 2, ["HSET", "key", ITEM])
    return error


@pytest.mark.parametrize("pipeline", ["alone", "sync", "async"])
@pytest.mark.parametrize(
    ("told", "passes"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", True),
        ("READONLY You can't write against a read only replica.", True),
        ("MISCONF Errors writing to the AOF file: No space left on device", True),
        ("NOREPLICAS Not enough good replicas to write.", True),
        ("BUSY Redis is busy running a script.", True),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", False),
        ("ERR value is not an integer or out of range", False),
        ("NOPERM No permissions to access a key", False),
    ],
)
def test_what_the_store_will_take_later_is_known_however_it_is_raised(told: str, passes: bool, pipeline: str) -> None:
    error = raised(told, pipeline)
    assert refusals.passes(error) == passes
    said = refusals.reason(error)
    code = told.partition(" ")[0]
    assert said in (told, told.removeprefix(code + " "))
