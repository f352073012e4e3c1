"""What a worker publishes of itself in the job store: its model, and its record of the moment."""

from __future__ import annotations

from pydantic import Field

from tokenreward.protocol.records import Record
from tokenreward.schema import Fingerprint, Include


class ModelRecord(Record):
    """A model that some worker serves or has served.

    Attributes:
        fingerprint: What the model is, by content.
        max_tokens: Longest prompt and response that it takes.
        since: When it was first seen, in Unix seconds.
        lacks: What its workers cannot give of what `include` names, as the last one that started says.
    """

    fingerprint: Fingerprint
    max_tokens: int
    since: float
    lacks: list[Include] = Field(default=[])


class Comparison(Record):
    """How a worker's probe compared with that of another worker with the same fingerprint.

    Attributes:
        worker: The other one's id.
        apart: Mean |difference| of their log-probs.
        allowed: What the arithmetic of their dtype may make.
    """

    worker: str
    apart: float
    allowed: float


class WorkerRecord(Record):
    """One live worker.

    Counters are since its start. A plain scorer reads every branch of every response in full; `tokens` counts those.

    Attributes:
        id: Its name.
        host: The host it runs on.
        pid: Its process there.
        fingerprint_digest: Of what it serves.
        model: The name of the model.
        engine: The name of the engine.
        started: When it started, in Unix seconds.
        seen: When this record was made, in Unix seconds by Redis' clock.
        shards: Ids of the shards it holds.
        shards_done: Shards it committed.
        items_done: Items of those shards.
        tokens: Tokens it scored, as a plain scorer would have read them.
        tokens_per_second: Of those, per second while its engine was busy; None until that is known.
        busy_seconds: Time in which its engine had work.
        busy_share: Share of the last minute in which its engine had work.
        cache_hits: Items whose log-probs were known.
        engine_restarts: How often its engine died and was started again.
        computed_tokens: Tokens that its engine read.
        cached_tokens: Tokens that its engine did not have to read, because it had read a shared prefix before.
        branches: Branches that its engine scored.
        rescored_branches: Branches that its engine scored twice, because some of their rows had not been computed.
        steps: Forward passes of its engine.
        preemptions: Requests that lost their place in the engine's KV cache before they were done.
        prefix_hit_share: Share of the tokens that the prefix cache saved the engine from reading.
        flops_utilisation: Share of the peak of the hardware that the FLOPs of the model took while the engine was busy;
            None where it is not known.
        adapters: Versions of the adapters that its engine holds, the most recently used last.
        max_adapters: How many it keeps at most; 0 if it takes none, or is of a version that knows of none.
        comparison: The last comparison with another worker like it; None if there was no other.
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
    computed_tokens: int = 0
    cached_tokens: int = 0
    branches: int = 0
    rescored_branches: int = 0
    steps: int = 0
    preemptions: int = 0
    prefix_hit_share: float | None = None
    flops_utilisation: float | None = None
    adapters: list[str] = Field(default=[])
    max_adapters: int = 0
    comparison: Comparison | None = None


def connection_name(worker_id: str) -> str:
    """Return the name that a worker's Redis connections carry."""
    return f"tokenreward-worker-{worker_id}"
