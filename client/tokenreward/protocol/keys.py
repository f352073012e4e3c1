"""Every Redis key, in one place.

tr:job:{id}           hash    state, counts, options, provenance: see `lua/_job_state.lua`
tr:job:{id}:items     hash    first index of a slice -> blob of its items
tr:job:{id}:results   hash    first index of a range -> blob of its results
tr:job:{id}:ranges    zset    "start:count" of every finished range, by start
tr:job:{id}:shards    set     shards that still owe the job something
tr:jobs:{owner}       zset    job ids by creation time
tr:shard:{id}         hash    state, members, attempts, worker
tr:queued:{fp}        zset    shards waiting for a worker of that fingerprint, by time queued
tr:claimed            zset    shards some worker holds, by the end of their lease
tr:workers            zset    worker ids by the time their record expires (Redis' clock)
tr:worker:{id}        string  WorkerRecord as JSON
tr:job:spilled        set     jobs that may have payloads in the blob store
tr:models             hash    fingerprint digest -> ModelRecord as JSON
tr:cache:{fp}:{hash}  string  log-probs of one scoring
tr:apikeys            hash    key id -> ApiKey as JSON (the service's own; workers have no use for it)
tr:events             channel "{job} {version}" after every change of a job
"""

from __future__ import annotations

import re

QUEUED_PREFIX = "tr:queued:"
CLAIMED = "tr:claimed"
WORKERS = "tr:workers"
MODELS = "tr:models"
EVENTS = "tr:events"
RECONCILER_LOCK = "tr:reconciler"
COUNTERS = "tr:counters"
API_KEYS = "tr:apikeys"
#: No job has that id. It begins as a job's keys do, because a worker's Redis user may touch those.
SPILLED = "tr:job:spilled"

_JOB_ID = re.compile("[0-9a-f]{32}")


def is_job_id(text: str) -> bool:
    return _JOB_ID.fullmatch(text) is not None


def job(job_id: str) -> str:
    return f"tr:job:{job_id}"


def items(job_id: str) -> str:
    return f"tr:job:{job_id}:items"


def results(job_id: str) -> str:
    return f"tr:job:{job_id}:results"


def ranges(job_id: str) -> str:
    return f"tr:job:{job_id}:ranges"


def jobs(owner: str) -> str:
    return f"tr:jobs:{owner}"


def shard(shard_id: str) -> str:
    return f"tr:shard:{shard_id}"


def queued(fingerprint: str) -> str:
    return QUEUED_PREFIX + fingerprint


def worker(worker_id: str) -> str:
    return f"tr:worker:{worker_id}"


def cached(fingerprint: str, content_hash: str) -> str:
    return f"tr:cache:{fingerprint}:{content_hash}"


def idempotency(owner: str, key_hash: str) -> str:
    return f"tr:idem:{owner}:{key_hash}"
