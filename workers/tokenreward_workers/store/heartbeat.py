"""The sign of life of a worker's process: its record in the job store, every two seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import redis

from tokenreward.protocol import keys
from tokenreward.protocol.worker_records import WorkerRecord
from tokenreward_workers.store.job_store import JobStoreClient

log = logging.getLogger(__name__)

_RECORD_TTL = 15
_RECORD_EVERY = 2.0


class Heartbeat(threading.Thread):
    """Publishes the worker's record. It tells that the process is alive, not that its engine makes progress."""

    def __init__(self, store: JobStoreClient, record: Callable[[], WorkerRecord]) -> None:
        """Make the thread.

        Args:
            store: Where the record goes.
            record: Makes the record of this moment.
        """
        super().__init__(name="pulse", daemon=True)
        self._store = store
        self._record = record
        self._stopping = threading.Event()

    def run(self) -> None:
        while True:
            try:
                self.beat()
            except (redis.RedisError, OSError) as error:
                log.warning("cannot publish the worker's record: %s", error)
            if self._stopping.wait(_RECORD_EVERY):
                return

    def beat(self) -> None:
        """Publish the record once."""
        client, worker_id = self._store.client, self._store.worker_id
        now, micros = client.time()  # Redis': the clocks of two hosts may be minutes apart
        record = self._record().model_copy(update={"seen": now + micros / 1e6})
        with client.pipeline(transaction=True) as pipe:
            pipe.set(keys.worker(worker_id), record.model_dump_json(), ex=_RECORD_TTL)
            pipe.zadd(keys.WORKERS, {worker_id: now + _RECORD_TTL})
            pipe.zremrangebyscore(keys.WORKERS, "-inf", now - 600)
            pipe.execute()

    def stop(self) -> None:
        """Stop, and take the record back."""
        self._stopping.set()
        self.join(5)
        client, worker_id = self._store.client, self._store.worker_id
        with client.pipeline(transaction=True) as pipe:
            pipe.delete(keys.worker(worker_id))
            pipe.zrem(keys.WORKERS, worker_id)
            pipe.execute()
