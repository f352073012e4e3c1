"""The RQ worker: it answers doorbells by claiming shards. RQ knows nothing of results, retries or failures.

Nothing that a job record in Redis says is read, let alone run: a doorbell's id is the shard's id, and nothing else
counts.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker.base import StopRequested

from tokenreward.protocol import doorbell, refusals
from tokenreward.protocol.worker_records import connection_name
from tokenreward_workers.shards.pipeline import Pipeline
from tokenreward_workers.store.job_store import JobStoreClient

log = logging.getLogger(__name__)

#: BLMOVE waits worker_ttl - 15 seconds: well below the socket timeout.
_WORKER_TTL = 25
_HEARTBEAT_EVERY = 10.0
_SHARD_ID = re.compile("[0-9a-f]{32}")


class Doorbell(Job):
    """An RQ job of which only the id counts; its record is never read."""

    @classmethod
    def of(cls, shard: str, connection: Any) -> Doorbell:
        """Make the doorbell of a shard."""
        job = cls(shard, connection=connection, serializer=JSONSerializer)
        job.origin = ""
        job.description = "shard"
        return job

    def perform(self) -> Any:
        raise RuntimeError("a doorbell is answered, never performed")


class DoorbellQueue(Queue):
    """A queue that hands out doorbells without fetching anything, and throws away what is not a shard's id."""

    @classmethod
    def dequeue_any(
        cls, queues: Sequence[Queue], timeout: int | None, connection: Any, **_: Any
    ) -> tuple[Doorbell, Queue] | None:
        (queue,) = queues
        while True:
            with _as_if_away():
                popped = cls.lmove(connection, queue.key, timeout)
            if popped is None:
                return None
            shard = popped[1].decode("ascii", "replace")
            if _SHARD_ID.fullmatch(shard):
                return Doorbell.of(shard, connection), queue
            log.error("something on the queue is no shard's id; it is dropped")
            with _as_if_away():
                connection.lrem(queue.intermediate_queue_key, 1, popped[1])


@contextlib.contextmanager
def _as_if_away() -> Iterator[None]:
    """A store that takes no writes now looks like one that is away, which RQ waits for; a refusal would end it."""
    try:
        yield
    except redis.ResponseError as error:
        if not refusals.passes(error):
            raise
        raise redis.ConnectionError(refusals.reason(error)) from error


class ShardWorker(SimpleWorker):
    """Answers doorbells with claims, as many at once as the pipeline has room for."""

    max_connection_wait_time = 2.0
    log_job_description = False

    def __init__(self, pipeline: Pipeline, store: JobStoreClient) -> None:
        connection = store.client
        queue = DoorbellQueue(
            doorbell.queue_name(store.fingerprint), connection=connection, job_class=Doorbell, serializer=JSONSerializer
        )
        super().__init__(
            [queue],
            name=connection_name(store.worker_id),
            connection=connection,
            job_class=Doorbell,
            queue_class=DoorbellQueue,
            serializer=JSONSerializer,
            worker_ttl=_WORKER_TTL,
        )
        self._pipeline = pipeline
        self._store = store
        self._room = 0
        self._answering = False
        self._beaten = 0.0

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Wait for room first: a doorbell that nobody could answer yet stays on the queue, where others see it."""
        while not (room := self._pipeline.room(timeout=1.0)):
            self.heartbeat()
        self._room = room
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Claim a shard for this doorbell, and for as many more as there is room for, and clear the doorbells away.

        A doorbell says that a shard waits. Which one is claimed is decided in the store, where owners take turns.
        """
        self._answering = True
        try:
            shards = [job.id, *self._more(queue, self._room - 1)]
            claimed = self._pipeline.claim(len(shards))
            with self.connection.pipeline(transaction=False) as pipe:
                for shard in shards:
                    pipe.lrem(queue.intermediate_queue_key, 1, shard)
                    pipe.delete(Doorbell.of(shard, self.connection).key)
                pipe.execute()
            if not claimed:  # where one rings for nothing, thousands may
                self._store.drop_stale_doorbells(queue.key)
        except redis.RedisError as error:
            # Not claimed, or claimed without our knowing: the reconciler sees to both.
            log.warning("doorbell %s not answered: %s", job.id, error)
            time.sleep(0.2)
        finally:
            self._answering = False

    def _more(self, queue: Queue, count: int) -> list[str]:
        """Take up to `count` more doorbells that ring already, in one round trip."""
        if count < 1:
            return []
        with self.connection.pipeline(transaction=False) as pipe:
            for _ in range(count):
                pipe.lmove(queue.key, queue.intermediate_queue_key, "LEFT", "RIGHT")
            popped = [bell for bell in pipe.execute() if bell is not None]
        shards = [bell.decode("ascii", "replace") for bell in popped]
        if strange := [bell for bell, shard in zip(popped, shards, strict=True) if not _SHARD_ID.fullmatch(shard)]:
            log.error("%d things on the queue are no shard's id; they are dropped", len(strange))
            for bell in strange:
                self.connection.lrem(queue.intermediate_queue_key, 1, bell)
        return [shard for shard in shards if _SHARD_ID.fullmatch(shard)]

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ's own sign of life, a few times a minute instead of several writes around every job."""
        if time.monotonic() - self._beaten < _HEARTBEAT_EVERY:
            return
        self._beaten = time.monotonic()
        try:
            with self.connection.pipeline(transaction=False) as pipe:
                super().heartbeat(timeout, pipe)
                pipe.execute()
        except redis.RedisError as error:
            log.warning("no heartbeat: %s", error)

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Kept here; our own record tells what a worker does."""
        self._state = state

    def procline(self, message: str) -> None:
        """The process keeps the name it was started by."""

    def subscribe(self) -> None:
        """RQ's remote commands (shut down, stop a job) stay unheard, so that writing to Redis cannot stop workers."""

    def unsubscribe(self) -> None:
        """There is no subscription."""

    def run_maintenance_tasks(self) -> None:
        """RQ's registries are not used; the reconciler owns recovery."""

    def _shutdown(self) -> None:
        """On SIGTERM or Ctrl-C: at once when idle, else after the doorbell at hand."""
        self._stop_requested = True
        if not self._answering and threading.current_thread() is threading.main_thread():
            raise StopRequested
