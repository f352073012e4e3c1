"""The name of every Redis key, for Python and for Lua.

`PATTERNS` is the one list. The functions and constants below build the names for Python from it, `lua` builds them for
the scripts, and `glob` gives the patterns that access rules are written in. No other file spells a key out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

PATTERNS: Mapping[str, str] = {
    # hash: state, counts, options, provenance (see `lua/_job_transitions.lua`)
    "job": "tr:job:{job}",
    # hash: first index of a slice -> blob of its items
    "items": "tr:job:{job}:items",
    # hash: first index of a range -> blob of its results
    "results": "tr:job:{job}:results",
    # sorted set: "start:count" of every finished range, by start
    "ranges": "tr:job:{job}:ranges",
    # hash: index of an item -> what one of its models said of it, while another has yet to (see `parts.py`)
    "parts": "tr:job:{job}:parts",
    # set: shards that still owe the job something
    "shards": "tr:job:{job}:shards",
    # set: jobs that may have payloads in the blob store. No job has this id; the name begins as the keys of jobs do, as
    # a worker's Redis user may touch those.
    "spilled": "tr:job:spilled",
    # sorted set: job ids by creation time
    "jobs": "tr:jobs:{owner}",
    # string: what an earlier request with this Idempotency-Key left (see the service's `intake/idempotency.py`)
    "idempotency": "tr:idem:{owner}:{key_hash}",
    # string: the job whose record stands for all emptied jobs of one run
    "run": "tr:run:{owner}:{run}",
    # hash: what an audit found on each label (for the service only)
    "audits": "tr:audits:{owner}",
    # hash: state, members, attempts, worker
    "shard": "tr:shard:{shard}",
    # sorted set: shards that wait for a worker of that fingerprint, by the time they were queued
    "queued": "tr:queued:{fingerprint}",
    # set: those of the waiting shards that hold interactive work
    "front": "tr:front:{fingerprint}",
    # sorted set: the waiting shards by the order in which owners take turns (see `lua/_turns.lua`). The access rules of
    # 0.1.0 let workers touch names that begin like this.
    "turn": "tr:front:{fingerprint}:turn",
    # hash: owner -> where the turn of its next shard begins; "" -> the turn that was served last
    "owners": "tr:front:{fingerprint}:owners",
    # sorted set: shards that some worker holds, by the end of their lease
    "claimed": "tr:claimed",
    # string: the suspect shard that a worker's engine is at; it expires after a day
    "scoring": "tr:scoring:{worker}",
    # sorted set: worker ids by the time their record expires (Redis' clock)
    "workers": "tr:workers",
    # string: WorkerRecord as JSON
    "worker": "tr:worker:{worker}",
    # hash: fingerprint digest -> ModelRecord as JSON
    "models": "tr:models",
    # string: log-probs of one scoring
    "cache": "tr:cache:{fingerprint}:{content_hash}",
    # string: bytes of memory that the service lets the store use, if its settings limit it (see `memory.py`). No worker
    # has this id; the name begins as the records of workers do, because the access rules of a deployment are written
    # once, and those of 0.1.0 let a worker's Redis user read no other new name.
    "store_limit": "tr:worker:store_limit",
    # hash: "name@version" -> AdapterRecord as JSON, of the model with these weights. The names of this and of the next
    # three begin as the records of workers do for the same reason.
    "adapters": "tr:worker:adapters:{model_hash}:{model}",
    # list: AdapterOrder as JSON, for any worker with that fingerprint
    "adapter_orders": "tr:worker:adapter_orders:{fingerprint}",
    # list: the one AdapterAnswer to an order, as JSON
    "adapter_answer": "tr:worker:adapter_answer:{order}",
    # hash: worker id -> when it published its probe, float64, and the log-probs of it, float32
    "probes": "tr:worker:probes:{fingerprint}",
    # string: the log-probs, float32, that the first worker with the fingerprint got of a fixed text over its endpoints
    "first_rows": "tr:worker:first_rows:{fingerprint}",
    # hash: counts that outlive the service's process, such as `recoveries`
    "counters": "tr:counters",
    # string: lock of the service that reconciles
    "reconciler": "tr:reconciler",
    # hash: key id -> ApiKey as JSON (for the service only)
    "apikeys": "tr:apikeys",
    # channel: "{job} {version}" after every change of a job
    "events": "tr:events",
}

QUEUED_PREFIX = PATTERNS["queued"].removesuffix("{fingerprint}")
CLAIMED = PATTERNS["claimed"]
WORKERS = PATTERNS["workers"]
MODELS = PATTERNS["models"]
EVENTS = PATTERNS["events"]
RECONCILER_LOCK = PATTERNS["reconciler"]
COUNTERS = PATTERNS["counters"]
API_KEYS = PATTERNS["apikeys"]
SPILLED = PATTERNS["spilled"]
STORE_LIMIT = PATTERNS["store_limit"]

_JOB_ID = re.compile("[0-9a-f]{32}")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LAST_PLACEHOLDERS = re.compile(r"\{.*\}$")


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of a job's id, so that it cannot name another key."""
    return _JOB_ID.fullmatch(text) is not None


def job(job_id: str) -> str:
    """The record of a job."""
    return PATTERNS["job"].format(job=job_id)


def items(job_id: str) -> str:
    """The items of a job."""
    return PATTERNS["items"].format(job=job_id)


def results(job_id: str) -> str:
    """The results of a job."""
    return PATTERNS["results"].format(job=job_id)


def ranges(job_id: str) -> str:
    """The finished ranges of a job."""
    return PATTERNS["ranges"].format(job=job_id)


def shards(job_id: str) -> str:
    """The shards that owe a job something."""
    return PATTERNS["shards"].format(job=job_id)


def jobs(owner: str) -> str:
    """The list of an owner's jobs."""
    return PATTERNS["jobs"].format(owner=owner)


def run(owner: str, run_id: str) -> str:
    """The name of the job that stands for a run."""
    return PATTERNS["run"].format(owner=owner, run=run_id)


def audits(owner: str) -> str:
    """What audits found, for the keeper of that owner's jobs."""
    return PATTERNS["audits"].format(owner=owner)


def shard(shard_id: str) -> str:
    """The record of a shard."""
    return PATTERNS["shard"].format(shard=shard_id)


def queued(fingerprint: str) -> str:
    """The shards that wait for a worker with this fingerprint."""
    return PATTERNS["queued"].format(fingerprint=fingerprint)


def worker(worker_id: str) -> str:
    """The record of a live worker."""
    return PATTERNS["worker"].format(worker=worker_id)


def parts(job_id: str) -> str:
    """What some models said of a job's items, while others have yet to."""
    return PATTERNS["parts"].format(job=job_id)


def adapters(model: str, model_hash: str) -> str:
    """The adapters of a model, by its name and the hash of its weights."""
    return PATTERNS["adapters"].format(model=model, model_hash=model_hash)


def adapter_orders(fingerprint: str) -> str:
    """The orders for workers with this fingerprint to look at an adapter."""
    return PATTERNS["adapter_orders"].format(fingerprint=fingerprint)


def adapter_answer(order: str) -> str:
    """The answer to one such order."""
    return PATTERNS["adapter_answer"].format(order=order)


def probes(fingerprint: str) -> str:
    """What the workers with this fingerprint made of their probe."""
    return PATTERNS["probes"].format(fingerprint=fingerprint)


def first_rows(fingerprint: str) -> str:
    """What the endpoints of this fingerprint made of a fixed text when it was first served."""
    return PATTERNS["first_rows"].format(fingerprint=fingerprint)


def cached(fingerprint: str, content_hash: str) -> str:
    """The cached log-probs of one scoring."""
    return PATTERNS["cache"].format(fingerprint=fingerprint, content_hash=content_hash)


def idempotency(owner: str, key_hash: str) -> str:
    """The record of an Idempotency-Key of one owner."""
    return PATTERNS["idempotency"].format(owner=owner, key_hash=key_hash)


def glob(name: str) -> str:
    """The keys of one entry of `PATTERNS` as a glob, for Redis' access rules: `tr:shard:*`."""
    return _PLACEHOLDER.sub("*", _LAST_PLACEHOLDERS.sub("*", PATTERNS[name]))


def lua(names: Iterable[str]) -> str:
    """Lua code that defines the table `tr` with these entries of `PATTERNS`.

    A name without a placeholder becomes a string (`tr.claimed`), one with placeholders a function of them
    (`tr.shard(id)`).

    Raises:
        KeyError: A name is not in `PATTERNS`.
    """
    return "".join(["local tr = {}\n", *(f"tr.{name} = {_lua_value(PATTERNS[name])}\n" for name in sorted(names))])


def _lua_value(pattern: str) -> str:
    # Split at its placeholders, a pattern is text and parameter in turn.
    pieces = _PLACEHOLDER.split(pattern)
    parameters = pieces[1::2]
    parts = [piece if i % 2 else f"'{piece}'" for i, piece in enumerate(pieces) if piece]
    value = " .. ".join(parts)
    return f"function({', '.join(parameters)}) return {value} end" if parameters else value
