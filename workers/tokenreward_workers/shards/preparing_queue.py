"""The thread that prepares claimed shards: interactive ones first, and several small ones at once."""

from __future__ import annotations

import threading
from collections import deque

from tokenreward_workers.shards.claim_ahead import ClaimAhead
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.patience import patiently
from tokenreward_workers.shards.preparing import Preparer
from tokenreward_workers.shards.scoring_stream import ScoringStream

#: Items prepared together: enough to make a round trip worth while, few enough to reach the engine soon.
_MOST_ITEMS = 64


class PreparingQueue:
    """Claimed shards on their way into the stream."""

    def __init__(self, preparer: Preparer, stream: ScoringStream, ahead: ClaimAhead, draining: threading.Event) -> None:
        self._preparer = preparer
        self._stream = stream
        self._ahead = ahead
        self._draining = draining
        self._changed = threading.Condition()
        self._interactive: deque[ClaimedShard] = deque()
        self._bulk: deque[ClaimedShard] = deque()
        self._closed = False

    def put(self, shard: ClaimedShard) -> None:
        """Hand over a shard that has just been claimed."""
        with self._changed:
            (self._interactive if shard.front else self._bulk).append(shard)
            self._changed.notify()

    def close(self) -> None:
        """End `run`; what waits is not prepared any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def run(self) -> None:
        """Prepare until closed."""
        while batch := self._next():
            patiently(lambda batch=batch: self._preparer.prepare(batch), self._draining)  # type: ignore[misc]
            for shard in batch:
                self._ahead.prepared(shard)
                self._stream.add(shard)

    def _next(self) -> list[ClaimedShard]:
        """The shards to prepare now; none when closed."""
        batch: list[ClaimedShard] = []
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._interactive or self._bulk)
            items = 0
            while not self._closed and (waiting := self._interactive or self._bulk):
                if batch and items + waiting[0].items > _MOST_ITEMS:
                    break
                batch.append(waiting.popleft())
                items += batch[-1].items
        return batch
