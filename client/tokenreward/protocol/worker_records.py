"""TODO: what this module owns."""

from __future__ import annotations

from pydantic import Field

from tokenreward.protocol.records import Record
from tokenreward.schema import Fingerprint


class ModelRecord(Record):
    """A model some worker serves or has served; `since` (Unix seconds) is when it was first seen."""

    fingerprint: Fingerprint
    max_tokens: int
    since: float


class WorkerRecord(Record):
    """One live worker. Its Redis connections carry the name `connection_name(id)`.

    tokens: those a plain scorer would have read, since start; tokens_per_second: of the engine while busy;
    busy_share: share of the last minute's time in which the engine worked.
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
    return f"tokenreward-worker-{worker_id}"
