"""The RQ queue that wakes workers. A doorbell's id IS the shard's id; nothing else in it is ever read.

One queue per fingerprint, so that a worker listens to exactly one queue (RQ then moves a popped id atomically to an
intermediate list instead of dropping it), and a job never reaches a worker with another set-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rq import Queue
from rq.serializers import JSONSerializer

#: Resolved by nobody: the worker's own Job class runs `ShardWorker.answer` whatever a record says.
_FUNCTION = "tokenreward.shard"


def queue_name(fingerprint: str) -> str:
    return f"tokenreward-{fingerprint}"


def queue(fingerprint: str, connection: Any) -> Queue:
    return Queue(queue_name(fingerprint), connection=connection, serializer=JSONSerializer)


def ring(fingerprint: str, shard_ids: Iterable[str], connection: Any, pipeline: Any, *, front: bool = False) -> None:
    """Enqueue doorbells inside `pipeline`, a (transactional) pipeline of `connection`, a sync client."""
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
