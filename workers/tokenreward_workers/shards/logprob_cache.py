"""The log-prob cache in the job store: what was scored before, by any job with the same model, is not scored again.

Rows are kept as columns, by what was asked: the same branch with more wanted of it is another entry.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence

import numpy as np
import redis

from tokenreward_workers.scoring import LogProbs, Row, Scored, Scoring, ScoringFailed, adapter_order, checked
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.store.job_store import JobStoreClient
from tokenreward_workers.wanted import NOTHING, Wanted

log = logging.getLogger(__name__)

#: Above this share of the store's memory no log-probs are kept: the rest is for jobs, which get 429 at 90%.
_SHARE = 0.6
_MEMORY_EVERY = 2.0


def content_hash(prompt: Sequence[int], response: Sequence[int], wanted: Wanted = NOTHING, version: str = "") -> str:
    """Return the key under which what was wanted of one response behind one prompt is kept.

    Args:
        prompt: Its ids.
        response: Its ids.
        wanted: What was wanted beside log-probs.
        version: Of the adapter that scores it; empty for the model itself.
    """
    ids = np.array([len(prompt), *prompt, *response], dtype=np.int64)
    content = hashlib.blake2b(ids.tobytes(), digest_size=16, key=version.encode())
    if wanted:  # log-probs alone keep the key that they had before anything else could be wanted
        content.update(f"{wanted.moments}/{wanted.top}/{wanted.named}/".encode())
        content.update(b"" if wanted.ids is None else wanted.ids.data)
    return content.hexdigest()


def branch_hashes(scoring: Scoring) -> dict[str, str]:
    """Return the cache key of each branch of a scoring, by the branch's name."""
    return {
        name: content_hash(scoring.prefix + rest, scoring.response, scoring.wanted, adapter_order(adapter))
        for adapter, branches in scoring.by_adapter.items()
        for name, rest in branches.items()
    }


class LogprobCache:
    """Looks log-probs up and keeps new ones, while the job store has memory to spare."""

    def __init__(self, store: JobStoreClient, ttl: int) -> None:
        """Use the cache.

        Args:
            store: The job store that holds it.
            ttl: Seconds for which log-probs are kept; 0 for no cache at all.
        """
        self._store = store
        self._ttl = ttl
        self._memory = 0.0
        self._looked = -_MEMORY_EVERY

    def lookup(self, hashes: Sequence[str]) -> dict[str, LogProbs]:
        """Return the numbers behind each key that is known, float32, in one round trip. They are not checked."""
        names = sorted(set(hashes))
        if not self._ttl or not names:
            return {}
        values = self._store.cached(names)
        # A value that is not an array of float32 was written by somebody else, and is not used.
        return {
            name: np.frombuffer(value, dtype=np.float32)
            for name, value in zip(names, values, strict=True)
            if value is not None and len(value) % 4 == 0
        }

    def keep(self, shards: Sequence[ClaimedShard]) -> None:
        """Keep what the engine scored of these shards, in one round trip."""
        if not self._ttl:
            return
        try:
            if time.monotonic() - self._looked > _MEMORY_EVERY:
                self._looked, self._memory = time.monotonic(), self._store.memory_share()
            if self._memory < _SHARE:
                self._store.cache([pair for shard in shards for pair in _fresh(shard)], self._ttl)
        except redis.RedisError as error:  # the cache may be full; rewards are safe
            log.warning("log-probs not cached: %s", error)


def known_rows(scoring: Scoring, hashes: dict[str, str], known: dict[str, LogProbs]) -> Scored | None:
    """Return a scoring's rows if the cache has every one of them and each is right, else None."""
    shape = (len(scoring.response), scoring.wanted.width)
    found = {branch: known[name] for branch, name in hashes.items() if name in known}
    if len(found) < len(hashes) or any(numbers.size != shape[0] * shape[1] for numbers in found.values()):
        return None
    rows = {branch: Row.of(numbers.reshape(shape), scoring.wanted) for branch, numbers in found.items()}
    right = checked(rows, len(scoring.response), scoring.wanted)
    return None if isinstance(right, ScoringFailed) else right


def _fresh(shard: ClaimedShard) -> list[tuple[str, bytes]]:
    return [
        (name, places[0].scored[branch].columns.tobytes())
        for places, hashes in zip(shard.wanted_by, shard.hashes, strict=True)
        if places[0].scored is not None
        for branch, name in hashes.items()
    ]
