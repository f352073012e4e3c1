"""Shards that an index names but that do not exist.

No script of ours leaves any, but a forged entry must not stop recovery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenreward.protocol import keys


async def drop_ghosts(redis: Any, index: str, shards: Sequence[str]) -> list[str]:
    """Take the shards that do not exist off an index.

    Args:
        redis: Async client.
        index: The key of a sorted set of shard ids.
        shards: Ids found in it.

    Returns:
        The shards that do exist, in order.
    """
    real = [shard for shard in shards if await redis.exists(keys.shard(shard))]
    if ghosts := set(shards) - set(real):
        await redis.zrem(index, *ghosts)
    return real
