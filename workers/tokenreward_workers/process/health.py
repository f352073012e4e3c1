"""Whether this host's worker is alive, for a container's health check: `tokenreward worker --healthy`.

It asks Redis, where a worker says every two seconds that it is there. A worker whose engine hangs is alive all the
same; its leases end.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import redis

from tokenreward.errors import BadInput
from tokenreward.protocol import keys
from tokenreward.protocol.connections import connect
from tokenreward.protocol.records import Corrupt, parse_record
from tokenreward.protocol.worker_records import WorkerRecord
from tokenreward_workers.settings import WorkerSettings


def healthy(settings: WorkerSettings) -> bool:
    """Return whether a live worker's record names this host.

    Raises:
        BadInput: Redis cannot be asked.
    """
    if settings.redis_url is None:
        raise BadInput("say which Redis the worker uses: --redis-url or TOKENREWARD_REDIS_URL")
    client: Any = connect(settings.redis_url.get_secret_value(), socket_timeout=5, socket_connect_timeout=3)
    with contextlib.closing(client):
        try:
            names = client.zrange(keys.WORKERS, 0, -1)
            texts = client.mget([keys.worker(name.decode("utf-8", "replace")) for name in names]) if names else []
        except redis.RedisError as error:
            raise BadInput(f"cannot reach Redis: {error}") from error
    return any(_host(text) == socket.gethostname() for text in texts if text is not None)


def _host(text: bytes) -> str | None:
    try:
        return parse_record(WorkerRecord, text).host
    except Corrupt:
        return None
