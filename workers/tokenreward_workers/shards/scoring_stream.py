"""The one endless stream of scorings that a worker's engine is fed, across shards.

Scorings of the next shards enter the engine while the last one's drain. Interactive shards go first; of the others, the
owners take turns by tokens, so that a small job need not wait for the end of another owner's shard. A suspect, which
is a shard that was held when a worker died, is scored alone: the stream drains, the job store is told what is in the
engine, and the others go on when it is done. A shard that is lost or cancelled leaves the stream, and the engine drops
it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from tokenreward_workers.engines.base import Outcome
from tokenreward_workers.scoring import Scoring
from tokenreward_workers.shards.claimed_shard import ClaimedShard
from tokenreward_workers.shards.held_shards import HeldShards
from tokenreward_workers.shards.owners_turns import OwnersTurns
from tokenreward_workers.shards.throughput import Throughput

#: A shard and the number of one of its scorings.
Key = tuple[ClaimedShard, int]


class ScoringStream:
    """An engine's feed (`engines.base.Feed`) of everything that is prepared. Threads may share it.

    Attributes:
        progress: Set whenever the engine shows a sign of life.
    """

    def __init__(
        self,
        held: HeldShards,
        throughput: Throughput,
        *,
        mark: Callable[[str], None],
        finished: Callable[[ClaimedShard], None],
    ) -> None:
        """Make an empty stream.

        Args:
            held: The shards it is about; their lock is the stream's.
            throughput: Told when the engine has work, and how much is done.
            mark: Tells the job store what the engine is at; called before a suspect enters it, with its id, and with
                an empty text when the suspect has left it.
            finished: Called once for each shard, when the engine has nothing more to do for it.
        """
        self.progress = threading.Event()
        self._changed = held.changed
        self._throughput = throughput
        self._mark = mark
        self._finished = finished
        self._queue: list[ClaimedShard] = []  # shards with scorings that wait
        self._turns = OwnersTurns()
        self._in_engine: dict[Key, None] = {}
        self._dropped: set[Key] = set()
        self._alone: ClaimedShard | None = None  # the suspect in the engine
        self._closed = False

    def add(self, shard: ClaimedShard) -> None:
        """Take in a shard that has just been prepared."""
        with self._changed:
            unwanted = set(shard.unwanted_scorings())
            shard.waiting.extend(n for n in range(len(shard.scorings)) if n not in unwanted)
            shard.waiting_tokens = sum(shard.scorings[n].tokens for n in shard.waiting)
            shard.prepared = True
            if shard.waiting:
                self._queue.append(shard)
            # Asked here: outside of the lock, the engine may have scored and finished it already.
            finished = shard.finished
            self._changed.notify_all()
        if finished:
            self._finished(shard)

    def take(self, tokens: int, *, wait: bool) -> Sequence[tuple[Key, Scoring]] | None:
        """Give the engine more work; see `engines.base.Feed`."""
        while True:
            marks: list[str] = []
            with self._changed:
                while not (taken := self._take(tokens, marks)) and not marks and wait and not self._over:
                    self._changed.wait()
                over = not taken and self._over
                self._changed.notify_all()
            if marks:  # before the engine gets hold of what was taken, and before it waits for work
                self._mark(marks[-1])
            if taken or over or not wait:
                return None if over else taken

    def step(self) -> Collection[Key]:
        """Take note of the engine's progress, and say what it is to drop."""
        self.progress.set()
        with self._changed:
            dropped, self._dropped = self._dropped, set()
            for key in dropped:
                self._left(key)
        return dropped

    def settle(self, key: Key, outcome: Outcome) -> None:
        """Note what the engine says of a scoring."""
        self.progress.set()
        shard, n = key
        with self._changed:
            wanted = n in shard.in_engine
            if wanted:
                shard.in_engine.discard(n)
                shard.settle(n, outcome)
                self._throughput.scored(shard.scorings[n].tokens)
            finished = wanted and shard.finished
            self._dropped.discard(key)
            self._left(key)
        if finished:
            self._finished(shard)

    def withdraw(self, shard: ClaimedShard) -> None:
        """Take out of the stream what nobody wants of a shard any more, after its `lost` or `unwanted` changed."""
        with self._changed:
            if not shard.prepared or shard.finished:
                return
            unwanted = set(shard.unwanted_scorings())
            for n in unwanted & shard.in_engine:
                self._dropped.add((shard, n))
                shard.in_engine.discard(n)
            for n in unwanted.intersection(shard.waiting):
                shard.waiting.remove(n)
                shard.waiting_tokens -= shard.scorings[n].tokens
            if not shard.waiting and shard in self._queue:
                self._queue.remove(shard)
            finished = shard.finished
            self._changed.notify_all()
        if finished:
            self._finished(shard)

    def close(self) -> None:
        """Let the engine finish the shards that it has begun, and give it no others."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def shards_in_engine(self) -> list[ClaimedShard]:
        """The shards of which the engine has something."""
        with self._changed:
            return list(dict.fromkeys(shard for shard, _ in self._in_engine))

    @property
    def _over(self) -> bool:
        return self._closed and not any(shard.begun for shard in self._queue)

    def _take(self, tokens: int, marks: list[str]) -> list[tuple[Key, Scoring]]:
        taken: list[tuple[Key, Scoring]] = []
        while (shard := self._next(marks)) is not None:
            scoring = shard.scorings[shard.waiting[0]]
            if taken and scoring.tokens > tokens:
                break
            tokens -= scoring.tokens
            key = (shard, shard.waiting.popleft())
            taken.append((key, scoring))
            self._entered(key, scoring.tokens)
        return taken

    def _next(self, marks: list[str]) -> ClaimedShard | None:
        """The shard whose scoring goes next; None if none may go now. Appends to `marks` what the store is to know."""
        if self._alone is not None:
            if self._alone.waiting:
                return self._alone
            if self._in_engine:
                return None
            self._alone = None
            marks.append("")
        waiting = [shard for shard in self._queue if shard.begun or not self._closed]
        chosen = next((shard for shard in waiting if shard.front), None) or self._turns.first(waiting)
        if chosen is not None and chosen.suspect:
            if self._in_engine:
                return None
            self._alone = chosen
            marks.append(chosen.id)
        return chosen

    def _entered(self, key: Key, tokens: int) -> None:
        shard, n = key
        if not self._in_engine:
            self._throughput.began()
        self._in_engine[key] = None
        shard.begun = True
        shard.in_engine.add(n)
        shard.waiting_tokens -= tokens
        if not shard.front:  # small calls of several owners may share a shard
            self._turns.taken(shard.claim.owner, tokens)
        if not shard.waiting:
            self._queue.remove(shard)

    def _left(self, key: Key) -> None:
        if key in self._in_engine:
            del self._in_engine[key]
            if not self._in_engine:
                self._throughput.ended()
