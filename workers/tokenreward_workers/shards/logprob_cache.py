"""TODO: what this module owns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from tokenreward_workers.scoring import Scoring
from tokenreward_workers.shards.shard import Shard
from tokenreward_workers.store.job_store import JobStoreClient


def content_hash(prompt: Sequence[int], response: Sequence[int]) -> str:
    """Of one branch of one scoring: the key under which its log-probs are kept."""
    ids = np.array([len(prompt), *prompt, *response], dtype=np.int64)
    return hashlib.blake2b(ids.tobytes(), digest_size=16).hexdigest()


def branch_hashes(scoring: Scoring) -> dict[str, str]:
    return {name: content_hash(scoring.prefix + rest, scoring.response) for name, rest in scoring.branches.items()}


def cacheable(shard: Shard) -> list[tuple[str, bytes]]:
    """Fresh log-probs worth keeping."""
    return [
        (content_hash, places[0].scored[branch].tobytes())
        for places, hashes in zip(shard.wanted_by, shard.hashes, strict=True)
        if places[0].scored is not None
        for branch, content_hash in hashes.items()
    ]


def _lookup(hashes: Sequence[dict[str, str]], cache: JobStoreClient) -> dict[str, np.ndarray]:
    names = sorted({h for own in hashes for h in own.values()})
    if not names:
        return {}
    values = cache.cached(names)
    # A value that is no array of float32 is a stranger's: it is not used.
    return {
        name: np.frombuffer(value, dtype=np.float32)
        for name, value in zip(names, values, strict=True)
        if value is not None and len(value) % 4 == 0
    }


#: Above this share of Redis' memory no log-probs are cached: the rest is for jobs, which get 429 at 90%.
_CACHE_SHARE = 0.6


_MEMORY_EVERY = 2.0
