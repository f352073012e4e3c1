"""One shard that this worker holds, with everything that has been found out about it since it was claimed."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tokenreward.protocol.records import Claim, JobSlice
from tokenreward.schema import ItemFailure
from tokenreward_workers.rendering import Prepared
from tokenreward_workers.scoring import LogProbs, Scored, Scoring, ScoringFailed


@dataclass(slots=True)
class Place:
    """One item's place in a shard, and what is known of its outcome.

    Attributes:
        member: The run of a job's items that it belongs to.
        index: The item's index in its job.
        id: The item's id, if its caller gave it one.
        prepared: The item as token ids, once it has been rendered.
        failure: Why there is no reward for it.
        scored: Its log-probs.
        given: What other models said of it before, for the branches that this one does not score.
        given_columns: The same before the item has been rendered, float32 `[T, width]`.
        given_response: The ids of the response for those models; None where this model is the first.
    """

    member: JobSlice
    index: int
    id: str | None
    prepared: Prepared | None = None
    failure: ItemFailure | ScoringFailed | None = None
    scored: Scored | None = None
    given: Scored = field(default_factory=dict)
    given_columns: Mapping[str, LogProbs] = field(default_factory=dict)
    given_response: tuple[int, ...] | None = None

    @property
    def settled(self) -> bool:
        return self.failure is not None or self.scored is not None


@dataclass(eq=False, slots=True)
class ClaimedShard:
    """A claim and its state. There is one object for each claim.

    Two of them are equal only if they are the same, because a shard that was lost may be claimed again while its first
    claim is still on its way through the worker. From `prepared` on, `waiting`, `in_engine` and the flags belong to the
    stream's lock.

    Attributes:
        claim: What the job store gave.
        places: One for each item, in the order of the members.
        scorings: What the engine has to do. Identical work is done once.
        wanted_by: For each scoring, the places that it settles.
        hashes: For each scoring, the cache key of each branch.
        cache_hits: Places that were settled by the log-prob cache.
        waiting: Numbers of the scorings that the engine has not taken yet, in order.
        in_engine: Numbers of the scorings that the engine has taken and not given back.
        waiting_tokens: Plain tokens of the scorings that wait.
        prepared: Whether its items have been rendered.
        begun: Whether the engine has taken anything of it.
        lost: Whether its lease ended, or nobody wants it any more.
        blamed: Whether a thread failed on it.
        unwanted: Jobs that were over while it was on its way.
    """

    claim: Claim
    places: list[Place] = field(default_factory=list)
    scorings: list[Scoring] = field(default_factory=list)
    wanted_by: list[list[Place]] = field(default_factory=list)
    hashes: list[dict[str, str]] = field(default_factory=list)
    cache_hits: int = 0
    waiting: deque[int] = field(default_factory=deque)
    in_engine: set[int] = field(default_factory=set)
    waiting_tokens: int = 0
    prepared: bool = False
    begun: bool = False
    lost: bool = False
    blamed: bool = False
    unwanted: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        return self.claim.shard

    @property
    def items(self) -> int:
        return sum(member.count for member in self.claim.members)

    def next_stage(self, digest: str) -> str | None:
        """The digest of the model that has its turn at this shard after the one that is named; None after the last.

        All jobs of a shard are scored by the same models in the same order.
        """
        return next(iter(self.claim.jobs.values())).next_stage(digest)

    @property
    def front(self) -> bool:
        """Whether it is interactive work, which overtakes the rest."""
        return self.claim.front

    @property
    def suspect(self) -> bool:
        """Whether a worker died while it held this shard."""
        return self.claim.attempts > 0

    @property
    def finished(self) -> bool:
        """Whether the engine has nothing more to do for it."""
        return self.prepared and not self.waiting and not self.in_engine

    @property
    def settled(self) -> bool:
        """Whether every item has its outcome."""
        return all(place.settled for place in self.places)

    def unwanted_scorings(self) -> Collection[int]:
        """Numbers of the scorings that nobody waits for: all of a lost shard, else those of unwanted jobs only."""
        if self.lost:
            return range(len(self.scorings))
        if not self.unwanted:
            return ()
        return [
            n for n, places in enumerate(self.wanted_by) if all(place.member.job in self.unwanted for place in places)
        ]

    def settle(self, n: int, outcome: Scored | ScoringFailed) -> None:
        """Note the engine's answer to scoring `n`."""
        for place in self.wanted_by[n]:
            if isinstance(outcome, ScoringFailed):
                place.failure = outcome
            else:
                place.scored = outcome
