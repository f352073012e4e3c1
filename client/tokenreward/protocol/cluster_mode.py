"""The check that this Redis is not in cluster mode, in which no change of a job's state could be made."""

from __future__ import annotations

from typing import Any

from tokenreward.errors import BadInput


def refuse_cluster_mode(client: Any) -> None:
    """Refuse a Redis in cluster mode. client: a sync redis-py client.

    Raises:
        BadInput: It is in cluster mode.
        redis.RedisError: It cannot be reached.
    """
    # One script changes a job, its shards and its results together. In a cluster these keys lie on several servers,
    # and a script that touches them is refused; even a cluster of one server refuses it.
    if int(client.info("cluster").get("cluster_enabled", 0)):
        raise BadInput(
            "this Redis is in cluster mode (cluster-enabled yes), which spreads the keys of a job over several servers,"
            " so that no script can change them together; use a Redis without cluster mode"
        )
