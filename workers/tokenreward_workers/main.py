"""One worker process: load the model, say what it is, answer doorbells until told to stop.

python -m tokenreward_workers.main     (settings from TOKENREWARD_*; `tokenreward worker` starts and restarts it)
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from typing import Any
from uuid import uuid4

import redis

from tokenreward.child_process import die_with
from tokenreward.errors import BadInput
from tokenreward.protocol import arrow_blobs, connections
from tokenreward.protocol.cluster_mode import refuse_cluster_mode
from tokenreward.protocol.sentinels import UnknownMaster
from tokenreward.protocol.spill import Spill
from tokenreward.protocol.worker_records import ModelRecord
from tokenreward_workers.process.adapter_desk import AdapterDesk
from tokenreward_workers.process.failures import Failures
from tokenreward_workers.process.replicas import compare_with_first, compare_with_others
from tokenreward_workers.process.report import reporter
from tokenreward_workers.process.rq_worker import ShardWorker
from tokenreward_workers.process.startup import Loaded, load
from tokenreward_workers.process.supervisor import HOPELESS
from tokenreward_workers.settings import WorkerSettings
from tokenreward_workers.shards.patience import patiently
from tokenreward_workers.shards.pipeline import Pipeline
from tokenreward_workers.store.adapter_registry import AdapterRegistry
from tokenreward_workers.store.heartbeat import Heartbeat
from tokenreward_workers.store.job_store import JobStoreClient, connect
from tokenreward_workers.store.probes import Probes

log = logging.getLogger("tokenreward.worker")


def run(settings: WorkerSettings) -> int:
    """Work until SIGTERM or Ctrl-C.

    Returns:
        The exit status.

    Raises:
        BadInput: The settings cannot work, the store is no place for jobs, or the model cannot be loaded.
    """
    if settings.redis_url is None:
        raise BadInput("a worker needs the service's Redis: give --redis-url or set TOKENREWARD_REDIS_URL")
    with contextlib.suppress(redis.RedisError):  # a Redis that is away now is asked again once the model is loaded
        _check_store(settings.redis_url.get_secret_value())
    loaded = load(settings)
    try:
        return _serve(settings, loaded)
    finally:
        loaded.engine.close()


def _serve(settings: WorkerSettings, loaded: Loaded) -> int:
    assert settings.redis_url is not None
    engine, identity = loaded.engine, loaded.fingerprint
    worker_id, started = uuid4().hex[:12], time.time()
    client = connect(settings.redis_url.get_secret_value(), worker_id)
    spill = Spill(settings.blob_url, settings.spill_bytes)
    store = JobStoreClient(client, worker_id, identity.digest, spill, settings.lease_seconds)
    failures = Failures()
    pipeline = Pipeline(
        engine,
        loaded.renderer,
        store,
        cache_ttl=settings.cache_ttl_seconds,
        tokens_per_second=loaded.tokens_per_second,
        on_fatal=failures.add,
        shelf=loaded.shelf,
    )
    arrow_blobs.warm_up()
    refuse_cluster_mode(client)
    probes = Probes(client, worker_id, identity.digest)
    never = threading.Event()  # until doorbells are answered, a signal ends the process by itself
    reference = loaded.reference
    if reference is not None:
        patiently(lambda: compare_with_first(reference, identity, probes), never)
    comparison = patiently(lambda: compare_with_others(loaded.probe, identity, probes), never)
    desk = _desk(settings, loaded, client)
    record = ModelRecord(
        fingerprint=identity, max_tokens=engine.info.max_tokens, since=started, lacks=list(engine.info.lacks)
    )
    patiently(lambda: store.register(record), never)
    worker = ShardWorker(pipeline, store)
    pipeline.start()
    heartbeat = Heartbeat(store, reporter(worker_id, started, loaded, pipeline, comparison))
    heartbeat.start()
    log.info("worker %s serves %s (%s, %s)", worker_id, identity.model, identity.engine, identity.digest)
    try:
        worker.work(logging_level="WARNING")
    finally:
        failures.ending = True
        pipeline.drain(settings.stop_seconds if not failures.errors else 1.0)
        if desk is not None:
            desk.stop()
        heartbeat.stop()
        probes.take_back()
    if failures.errors and isinstance(failures.errors[0], BadInput):  # no restart can mend it
        raise failures.errors[0]
    return 1 if failures.errors else 0


def _desk(settings: WorkerSettings, loaded: Loaded, client: Any) -> AdapterDesk | None:
    """Make the settings' adapters known, and take in others from now on; None if the worker takes none."""
    if loaded.shelf is None:
        return None
    identity = loaded.fingerprint
    desk = AdapterDesk(loaded.shelf, AdapterRegistry(client, identity), identity.model)
    for name, source in settings.named_adapters.items():
        desk.announce(name, source, loaded.adapters[name])
    desk.start()
    return desk


def _check_store(url: str) -> None:
    client: Any = connections.connect(url, socket_timeout=10, socket_connect_timeout=3)
    with contextlib.closing(client):
        try:
            refuse_cluster_mode(client)
        except UnknownMaster as error:
            raise BadInput(f"cannot reach Redis: {error}") from error


def main() -> int:
    parent = int(os.environ.pop("TOKENREWARD_PARENT_PID", "0"))
    if parent:
        die_with(parent)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        return run(WorkerSettings.read())
    except BadInput as error:
        print(f"tokenreward worker: {error}", file=sys.stderr)
        return HOPELESS


if __name__ == "__main__":
    sys.exit(main())
