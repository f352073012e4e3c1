"""The scoring seam: token ids in, the log-prob of every response token under every branch out.

    score([Scoring(prefix, branches, response)]) -> [{branch: float32 [T]}]

An engine may rely on nothing else, and a caller may rely on this:

- temperature 1, no truncation of the distribution, log-softmax in float32;
- results come one by one, in any order, each exactly once; what cannot be scored comes as a `ScoringFailed`
  of its own while its neighbours get log-probs;
- NaN, infinity and positive log-probs are failures, never results (`checked` sees to that);
- `on_step` is called after every engine step, at the latest every few seconds: it is the engine's sign of life,
  and it returns the indices that nobody wants any more, which are then dropped;
- closing the iterator stops the work;
- an engine that can no longer work (out of memory, its process gone) raises EngineDied; `restart` revives it with
  half the token budget.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tokenreward_workers.scoring import Scored, Scoring, ScoringFailed

OnStep = Callable[[], Collection[int]]


class EngineDied(RuntimeError):
    """The engine cannot go on; what it had not yielded must be scored again after `restart`."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine adds to a worker's fingerprint, and what fits it.

    max_tokens: longest sequence (prompt + response) it scores.  vocabulary: ids are in [0, vocabulary).
    """

    name: str
    version: str
    dtype: str
    max_tokens: int
    vocabulary: int


@dataclass(slots=True)
class EngineStats:
    """Counters since start; tokens are those a plain scorer would read, computed ones those this engine read."""

    tokens: int = 0
    computed_tokens: int = 0
    rescored: int = 0
    restarts: int = 0
    busy_seconds: float = field(default=0.0)


class Engine(Protocol):
    info: EngineInfo
    stats: EngineStats

    def score(self, work: Sequence[Scoring], on_step: OnStep = ...) -> Iterator[tuple[int, Scored | ScoringFailed]]: ...

    def restart(self) -> None: ...

    def close(self) -> None: ...


def nothing_dropped() -> Collection[int]:
    """The `on_step` of a caller that neither watches nor cancels."""
    return ()
