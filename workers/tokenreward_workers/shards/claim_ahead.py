"""How much a worker claims ahead of its engine: about two seconds of work, and one shard at least."""

from __future__ import annotations

from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.held_shards import HeldShards
from tokenreward_workers.shards.throughput import Throughput

#: Work that waits for the engine, in seconds at its measured rate.
_SECONDS = 2.0
#: Items that wait to be prepared: more than this is more than the next round of preparation takes.
_UNPREPARED_ITEMS = 512
#: Items that wait to be committed: with more than this, commits do not keep up.
_UNCOMMITTED_ITEMS = 2048
#: Shards claimed in one round trip.
_MOST_AT_ONCE = 16
#: Shards that may wait beyond the limit while work waits that should overtake them; and shards that the engine may be
#: in the middle of and still get one more. Each is lost with this worker, or finished before it ends.
_BEYOND = 2
#: The same for one that should overtake them: else every owner who comes would add a shard.
_BEGUN_BEYOND = 6
_SMOOTHING = 0.3


class ClaimAhead:
    """Says how many shards a worker may claim now.

    Attributes:
        overtakes: Whether what is the next to be claimed should not wait for the shards that are held, because it is
            interactive, or because nothing is held of its owner: then this worker claims beyond the limit.
    """

    def __init__(self, held: HeldShards, throughput: Throughput) -> None:
        self.overtakes = False
        self._held = held
        self._throughput = throughput
        self._item_tokens: float | None = None
        self._shard_items: float | None = None

    def claimed(self, shard: ClaimedShard) -> None:
        """Learn from a shard that has just been claimed."""
        self.overtakes = False
        self._shard_items = _smoothed(self._shard_items, shard.items)

    def prepared(self, shard: ClaimedShard) -> None:
        """Learn from a shard whose tokens have just been counted."""
        tokens = sum(place.prepared.scoring.tokens for place in shard.places if place.prepared)
        if tokens:
            self._item_tokens = _smoothed(self._item_tokens, tokens / shard.items)

    def wanted(self) -> int:
        """How many shards to claim in one round trip; 0 while enough wait. The caller holds the shards' lock."""
        held = self._held.all()
        if sum(shard.items for shard in held if shard.finished) >= _UNCOMMITTED_ITEMS:
            return 0
        waiting = [shard for shard in held if not (shard.begun or shard.finished or shard.lost)]
        unprepared = sum(shard.items for shard in waiting if not shard.prepared)
        missing = self._missing(sum(shard.waiting_tokens for shard in held), unprepared)
        # Owners take turns, so the engine may be in the middle of several shards and still have work for long.
        begun = sum(shard.begun and bool(shard.waiting) for shard in held)
        if self.overtakes and len(waiting) <= _BEYOND and begun <= _BEGUN_BEYOND:
            return 1
        if not waiting:
            return max(1, missing) if begun <= _BEYOND else missing
        return missing if unprepared < _UNPREPARED_ITEMS else 0

    def _missing(self, tokens: int, unprepared: int) -> int:
        """How many shards would make up for what `tokens` and `unprepared` items that wait lack; 0 if unknown."""
        rate = self._throughput.tokens_per_second
        if rate is None or self._item_tokens is None or self._shard_items is None:
            return 0
        missing = rate * _SECONDS - tokens - unprepared * self._item_tokens
        if missing <= 0:
            return 0
        # Only whole shards: what exceeds the limit would rather wait in the queue, where other workers see it.
        return min(_MOST_AT_ONCE, max(1, int(missing / (self._shard_items * self._item_tokens))))


def _smoothed(old: float | None, new: float) -> float:
    return new if old is None else old + _SMOOTHING * (new - old)
