"""What a running service holds: its connections and its parts, made when it starts and closed when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from tokenreward.protocol.redis_url import uses_sentinel
from tokenreward.protocol.spill import Spill
from tokenreward_service.api_keys.store import KeyRing
from tokenreward_service.events.subscription import Subscription
from tokenreward_service.fleet import Fleet
from tokenreward_service.intake.admission import AdmissionControl
from tokenreward_service.intake.coalescing import Coalescer
from tokenreward_service.intake.submission import Intake
from tokenreward_service.recovery.reconciler import Reconciler
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.adapters import Adapters
from tokenreward_service.store.connection import connect
from tokenreward_service.store.job_store import JobStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of a running service.

    Attributes:
        settings: The service's settings.
        redis: Async client of the job store.
        store: The job store.
        fleet: Models and workers.
        subscription: Hears of changes of jobs.
        intake: Turns requests for work into jobs.
        admission: Decides whether a request for work is taken in.
        keyring: Checks API keys.
        adapters: The adapters of models.
    """

    settings: ServiceSettings
    redis: Any
    store: JobStore
    fleet: Fleet
    subscription: Subscription
    intake: Intake
    admission: AdmissionControl
    keyring: KeyRing
    adapters: Adapters


def _of_request(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


#: The runtime, as a parameter of a route.
RuntimeDep = Annotated[Runtime, Depends(_of_request)]


@contextlib.asynccontextmanager
async def running(app: FastAPI, settings: ServiceSettings, redis_url: str) -> AsyncIterator[Runtime]:
    """The service's parts, as `app.state.runtime`, for as long as the app runs."""
    client, sync = connect(redis_url)
    store = JobStore.on(
        client, sync, Spill(settings.blob_url, settings.spill_bytes), behind_sentinels=uses_sentinel(redis_url)
    )
    fleet = Fleet(client, settings.declared)
    adapters = Adapters(client)
    subscription = Subscription(client)
    app.state.runtime = Runtime(
        settings=settings,
        redis=client,
        store=store,
        fleet=fleet,
        subscription=subscription,
        intake=Intake(client, store, fleet, adapters, Coalescer(store.publisher, settings), settings),
        admission=AdmissionControl(client, settings),
        keyring=KeyRing(client, required=settings.needs_keys),
        adapters=adapters,
    )
    tasks = [
        asyncio.create_task(subscription.run(), name="event subscription"),
        asyncio.create_task(Reconciler(client, sync, store, fleet, settings).run(), name="reconciler"),
    ]
    for task in tasks:
        task.add_done_callback(_log_end)
    try:
        yield app.state.runtime
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await client.aclose()
        sync.close()


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("the %s stopped; restart the service", task.get_name(), exc_info=task.exception())
