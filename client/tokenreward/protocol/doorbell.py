"""The RQ queue that wakes workers. A doorbell's id IS the shard's id; nothing else in it is ever read.

There is one queue for each fingerprint. So a worker listens to exactly one queue, for which RQ moves a popped id
atomically to an intermediate list instead of dropping it, and a job never reaches a worker with another set-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rq import Queue
from rq.serializers import JSONSerializer

#: A name that nothing resolves: the worker hands the id of any record to its pipeline and never calls a function.
_FUNCTION = "tokenreward.shard"


def queue_name(fingerprint: str) -> str:
    """Return the name of a fingerprint's queue."""
    return f"tokenreward-{fingerprint}"


def queue(fingerprint: str, connection: Any) -> Queue:
    """Return the queue of a fingerprint."""
    return Queue(queue_name(fingerprint), connection=connection, serializer=JSONSerializer)


def ring(fingerprint: str, shard_ids: Iterable[str], connection: Any, pipeline: Any, *, front: bool = False) -> None:
    """Enqueue doorbells inside a pipeline.

    Args:
        fingerprint: The digest of the workers' set-up.
        shard_ids: The shards to announce.
        connection: A sync client.
        pipeline: A transactional pipeline of `connection`.
        front: Whether the doorbells overtake those that wait.
    """
    # `enqueue_many`, since `enqueue_job` begins a transaction of its own inside a caller's pipeline.
    queue(fingerprint, connection).enqueue_many(
        [
            Queue.prepare_data(
                _FUNCTION, job_id=shard_id, result_ttl=0, failure_ttl=600, timeout=-1, description="", at_front=front
            )
            for shard_id in shard_ids
        ],
        pipeline=pipeline,
    )
