"""What a running service holds: its connections and its parts, made when it starts and closed when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from tokenreward.protocol.spill import Spill
from tokenreward_service.api_keys.store import KeyRing
from tokenreward_service.events.subscription import Watcher
from tokenreward_service.fleet import Fleet
from tokenreward_service.intake.admission import AdmissionControl
from tokenreward_service.intake.coalescing import Coalescer
from tokenreward_service.recovery.reconciler import Reconciler
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.connection import connect
from tokenreward_service.store.publishing import JobStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    settings: ServiceSettings
    redis: Any
    store: JobStore
    catalogue: Fleet
    watcher: Watcher
    merger: Coalescer
    keyring: KeyRing
    load: AdmissionControl


def _state(request: Request) -> Runtime:
    state: Runtime = request.app.state.service
    return state


RuntimeDep = Annotated[Runtime, Depends(_state)]


@contextlib.asynccontextmanager
async def running(app: FastAPI, settings: ServiceSettings, redis_url: str) -> AsyncIterator[None]:
    """The service's parts, for as long as the app runs."""
    client, sync = connect(redis_url)
    store = JobStore(client, sync, Spill(settings.blob_url, settings.spill_bytes))
    watcher = Watcher(client)
    app.state.service = Runtime(
        settings=settings,
        redis=client,
        store=store,
        catalogue=Fleet(client),
        watcher=watcher,
        merger=Coalescer(store, settings),
        keyring=KeyRing(client, required=settings.needs_keys),
        load=AdmissionControl(client, settings),
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


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("the %s stopped; restart the service", task.get_name(), exc_info=task.exception())
