"""TODO: what this module owns."""

from __future__ import annotations

_DOORBELL_GRACE = 3.0


def _ids(shard: str, worker: str | None = None, job: str | None = None) -> dict[str, str | None]:
    """What a structured log line says beside its message."""
    return {"shard": shard, "worker": worker, "job": job}
