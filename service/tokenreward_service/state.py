"""What a running service holds: its connections and its parts, made when it starts and closed when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import redis
import redis.asyncio
from fastapi import Depends, FastAPI, Request
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from tokenreward.errors import BadInput
from tokenreward.protocol.blobs import Spill
from tokenreward_service.apikeys import KeyRing
from tokenreward_service.catalogue import Catalogue
from tokenreward_service.load import Load
from tokenreward_service.merger import Merger
from tokenreward_service.reconciler import Reconciler
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store import JobStore
from tokenreward_service.watcher import Watcher

log = logging.getLogger(__name__)

_TIMEOUTS: dict[str, Any] = {"socket_timeout": 10, "socket_connect_timeout": 3, "health_check_interval": 30}


@dataclass(frozen=True, slots=True)
class State:
    settings: ServiceSettings
    redis: Any
    store: JobStore
    catalogue: Catalogue
    watcher: Watcher
    merger: Merger
    keyring: KeyRing
    load: Load


def _state(request: Request) -> State:
    state: State = request.app.state.service
    return state


StateDep = Annotated[State, Depends(_state)]


def connect(url: str) -> tuple[Any, Any]:
    """An async and a sync client, both with explicit timeouts and a short retry."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url, max_connections=64, timeout=10, retry=AsyncRetry(ExponentialWithJitterBackoff(0.5, 0.02), 2), **_TIMEOUTS
    )
    sync_pool = redis.BlockingConnectionPool.from_url(
        url, max_connections=16, timeout=10, retry=Retry(ExponentialWithJitterBackoff(0.5, 0.02), 2), **_TIMEOUTS
    )
    return redis.asyncio.Redis(connection_pool=pool), redis.Redis(connection_pool=sync_pool)


@contextlib.asynccontextmanager
async def running(app: FastAPI, settings: ServiceSettings, redis_url: str) -> AsyncIterator[None]:
    """The service's parts, for as long as the app runs."""
    client, sync = connect(redis_url)
    store = JobStore(client, sync, Spill(settings.blob_url, settings.spill_bytes))
    watcher = Watcher(client)
    app.state.service = State(
        settings=settings,
        redis=client,
        store=store,
        catalogue=Catalogue(client),
        watcher=watcher,
        merger=Merger(store, settings),
        keyring=KeyRing(client, required=settings.needs_keys),
        load=Load(client, settings),
    )
    tasks = [
        asyncio.create_task(watcher.run(), name="watcher"),
        asyncio.create_task(Reconciler(client, sync, store, settings).run(), name="reconciler"),
    ]
    for task in tasks:
        task.add_done_callback(_tell)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()
        sync.close()


def check_redis(url: str) -> None:
    """Refuse a Redis that could drop jobs. Raises BadInput."""
    client = redis.Redis.from_url(url, **_TIMEOUTS)
    try:
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


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("the %s stopped; restart the service", task.get_name(), exc_info=task.exception())
