"""Which shard is to blame when a thread of the worker fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import redis

from tokenreward_workers.shards.claimed_shard import ClaimedShard


@contextlib.contextmanager
def blaming(shards: Iterable[ClaimedShard], *, passed: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Blame these shards for what goes wrong inside, unless Redis or a disk says that the fault is theirs.

    A blamed shard is not handed back when the worker ends, so that the reconciler counts it as an attempt.

    Args:
        shards: What is worked on inside.
        passed: Further errors that no shard is to blame for.
    """
    nobodys: tuple[type[BaseException], ...] = (redis.RedisError, OSError, *passed)
    try:
        yield
    except nobodys:
        raise
    except BaseException:
        for shard in shards:
            shard.blamed = True
        raise
