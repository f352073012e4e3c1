"""Connections to the job store: clients with explicit timeouts, and the check that this Redis may hold jobs."""

from __future__ import annotations

from typing import Any

import redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from tokenreward.errors import BadInput
from tokenreward.protocol import connections
from tokenreward.protocol.cluster_mode import refuse_cluster_mode

_TIMEOUTS: dict[str, Any] = {"socket_timeout": 10, "socket_connect_timeout": 3, "health_check_interval": 30}


def connect(url: str) -> tuple[Any, Any]:
    """Clients of the Redis at `url`, with explicit timeouts and a short retry.

    Returns:
        An async client, and a sync one of the same server.
    """
    backoff = ExponentialWithJitterBackoff(0.5, 0.02)
    client = connections.connect_async(
        url, max_connections=64, wait_seconds=10, retry=AsyncRetry(backoff, 2), **_TIMEOUTS
    )
    sync = connections.connect(url, max_connections=16, wait_seconds=10, retry=Retry(backoff, 2), **_TIMEOUTS)
    return client, sync


def check_redis(url: str) -> None:
    """Refuse a Redis that could drop jobs, or cannot run our scripts.

    Raises:
        BadInput: It cannot be reached, it evicts keys when memory is short, or it is in cluster mode.
    """
    client: Any = connections.connect(url, **_TIMEOUTS)
    try:
        refuse_cluster_mode(client)
        policy = client.info("memory").get("maxmemory_policy", "noeviction")
    except redis.RedisError as error:
        raise BadInput(f"cannot reach Redis: {error}") from error
    finally:
        client.close()
    if policy != "noeviction":
        raise BadInput(
            f"Redis evicts keys when memory is short (maxmemory-policy {policy}), which would lose jobs; "
            "set `maxmemory-policy noeviction`"
        )
