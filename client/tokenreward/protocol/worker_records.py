"""The records by which workers make themselves and their models known."""

from __future__ import annotations

from pydantic import Field

from tokenreward.protocol.records import Record
from tokenreward.schema import Fingerprint


class ModelRecord(Record):
    """A model that some worker serves or has served.

    Attributes:
        fingerprint: The workers' set-up.
        max_tokens: The most tokens of prompt and response together.
        since: When it was first seen, Unix seconds.
    """

    fingerprint: Fingerprint
    max_tokens: int
    since: float


class WorkerRecord(Record):
    """One live worker.

    Attributes:
        id: The worker's id. Its Redis connections carry the name `connection_name(id)`.
        host: The machine's name.
        pid: The process.
        fingerprint_digest: The hash of its set-up.
        model: The model's name.
        engine: The engine's name.
        started: When it started, Unix seconds.
        seen: When it wrote this record, Unix seconds.
        shards: The shards it holds.
        shards_done: Shards committed since the start.
        items_done: Items committed since the start.
        tokens: Tokens since the start, as many as an engine without a prefix cache would have read.
        tokens_per_second: The engine's rate while busy, or None.
        busy_seconds: Seconds since the start in which the engine worked.
        busy_share: The share of the last minute in which the engine worked.
        cache_hits: Scorings answered from the log-prob cache.
        engine_restarts: How often the engine was started again.
    """

    id: str
    host: str
    pid: int
    fingerprint_digest: str
    model: str
    engine: str
    started: float
    seen: float
    shards: list[str] = Field(default=[])
    shards_done: int = 0
    items_done: int = 0
    tokens: int = 0
    tokens_per_second: float | None = None
    busy_seconds: float = 0.0
    busy_share: float = 0.0
    cache_hits: int = 0
    engine_restarts: int = 0


def connection_name(worker_id: str) -> str:
    """Return the name of a worker's connections to Redis."""
    return f"tokenreward-worker-{worker_id}"
