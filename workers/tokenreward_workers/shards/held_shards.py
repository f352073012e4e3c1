"""The shards that a worker holds at the moment, and the condition that tells its threads of every change."""

from __future__ import annotations

import threading

from tokenreward_workers.shards.claimed_shard import ClaimedShard


class HeldShards:
    """A set of claimed shards, in the order they were claimed.

    Attributes:
        changed: Notified on every change of a held shard; its lock guards their state.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._shards: dict[ClaimedShard, None] = {}

    def add(self, shard: ClaimedShard) -> None:
        with self.changed:
            self._shards[shard] = None
            self.changed.notify_all()

    def remove(self, shard: ClaimedShard) -> None:
        with self.changed:
            del self._shards[shard]
            self.changed.notify_all()

    def all(self) -> list[ClaimedShard]:
        with self.changed:
            return list(self._shards)

    @property
    def ids(self) -> list[str]:
        """Each shard's id, once."""
        return list(dict.fromkeys(shard.id for shard in self.all()))
