"""The scoring seam: a stream of keyed scorings in, the log-probs of every response token under every branch out.

    engine.score(feed of (key, Scoring)) -> stream of (key, {branch: Row} | ScoringFailed), in the order they are done

An engine may rely on nothing else, and a caller may rely on this:

- temperature 1, no truncation of the distribution, log-softmax in float32;
- a branch with an adapter is scored by that version of it and no other, whatever else is in the same step; an adapter
  that cannot be loaded fails the scorings that need it;
- every key that was taken comes back exactly once, unless it was dropped; a scoring that cannot be scored comes back
  as a `ScoringFailed` of its own, while its neighbours get log-probs;
- NaN, infinity and positive log-probs are failures, never results (`scoring.checked` sees to that);
- what a scoring wants beside log-probs (`Scoring.wanted`) comes in the same pass, exact over the whole vocabulary; an
  engine that does not have it fails that scoring and says so, and never leaves it out;
- the feed is asked for work whenever the engine has room for more, so that requests of the next shards enter while
  the last one's drain; an engine takes a few steps' worth of tokens ahead, so that urgent work is soon at its turn;
- `feed.step` is called after every engine step, at the latest every few seconds: it is the engine's sign of life, and
  it returns the keys that nobody wants any more, which are then dropped;
- closing the iterator stops the work;
- an engine that can no longer work (out of memory, its process gone) raises `EngineDied`; `restart` revives it with
  half the token budget.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tokenreward.schema import Include
from tokenreward_workers.scoring import Scored, Scoring, ScoringFailed

Key = Hashable
Outcome = Scored | ScoringFailed

#: Of a prefix that branches share, in tokens: a shorter one is not worth a request of its own that fills a cache.
WORTH_SENDING_AHEAD = 64


class EngineDied(RuntimeError):
    """The engine cannot go on; what it had not yielded must be scored again after `restart`."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine adds to a worker's fingerprint, and what fits it.

    Attributes:
        name: The name that the engine is asked for by.
        version: Of the library that does the arithmetic.
        dtype: Of the weights.
        max_tokens: The longest sequence (prompt + response) that it scores.
        vocabulary: Token ids are in [0, vocabulary).
        head_dtype: Of the logits.
        flops_per_token: Floating-point operations of a forward pass per token, of the model; None if not known.
        peak_flops: Of the hardware, per second, in `dtype`; None if not known.
        windows: Lengths at which the model's attention changes, as far as the engine has not proved itself beyond them
            (see `probe`); the smallest first.
        model: The model's name, where the engine knows it and not the files.
        weights: What stands for the hash of the weights, where there are no files to hash.
        head: What its rows are where they are no log-probs of tokens, see `Fingerprint`.
        lacks: What it never gives of what a job's `include` names.
    """

    name: str
    version: str
    dtype: str
    max_tokens: int
    vocabulary: int
    head_dtype: str
    flops_per_token: float | None = None
    peak_flops: float | None = None
    windows: tuple[int, ...] = ()
    model: str | None = None
    weights: str | None = None
    head: str | None = None
    lacks: tuple[Include, ...] = ()


@dataclass(slots=True)
class EngineStats:
    """Counters since the engine was made.

    Attributes:
        tokens: Tokens of the finished scorings, as a plain scorer would read them: every branch in full.
        computed_tokens: Tokens that this engine read, what it read twice included.
        cached_tokens: Tokens that it did not have to read, because a shared prefix had been read before.
        rescored: Branches that were scored a second time, because some of their rows had not been computed.
        branches: Branches that were scored; the base of `rescored`'s share.
        steps: Forward passes.
        preemptions: Requests that lost their place in the KV cache before they were done.
        restarts: How often the engine died and was revived.
        busy_seconds: Time in which it had work.
    """

    tokens: int = 0
    computed_tokens: int = 0
    cached_tokens: int = 0
    rescored: int = 0
    branches: int = 0
    steps: int = 0
    preemptions: int = 0
    restarts: int = 0
    busy_seconds: float = field(default=0.0)


class Feed(Protocol):
    """Where an engine's work comes from.

    The thread that runs `score` calls it; while an engine restarts, another thread calls `step`.
    """

    def take(self, tokens: int, *, wait: bool) -> Sequence[tuple[Key, Scoring]] | None:
        """Give the engine more work, the most urgent first.

        Args:
            tokens: About how much the engine has room for, in plain tokens (`Scoring.tokens`). At least one scoring
                is given if there is any, however long it is.
            wait: Whether to wait until there is work. An engine waits only when it has none left.

        Returns:
            Scorings with keys of their own, or nothing if there is none at the moment; None if there will never be
            any more.
        """

    def step(self) -> Collection[Key]:
        """Take note of the engine's progress, and say which keys nobody wants any more."""


class ListFeed:
    """A feed of work that is known from the start; the keys are its indices."""

    def __init__(self, work: Sequence[Scoring], on_step: Callable[[], Collection[int]] | None = None) -> None:
        """Feed `work` in its order.

        Args:
            work: The scorings.
            on_step: Called after every engine step; returns the indices that are not wanted any more.
        """
        self._waiting = list(enumerate(work))[::-1]
        self._on_step = on_step

    def take(self, tokens: int, *, wait: bool) -> Sequence[tuple[Key, Scoring]] | None:
        if not self._waiting:
            return None
        taken: list[tuple[Key, Scoring]] = []
        while self._waiting and (not taken or tokens >= self._waiting[-1][1].tokens):
            taken.append(self._waiting.pop())
            tokens -= taken[-1][1].tokens
        return taken

    def step(self) -> Collection[Key]:
        return self._on_step() if self._on_step else ()


class Engine(Protocol):
    """A loaded model that scores. It is used from one thread, the one that made it."""

    info: EngineInfo
    stats: EngineStats

    @property
    def adapters(self) -> Sequence[str]:
        """Versions of the adapters that it holds, the most recently used last. Any thread may ask."""

    def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
        """Score what `feed` gives, until it has no more.

        Yields:
            Each key with its rows or its failure, in the order they are done.

        Raises:
            EngineDied: The engine cannot go on. Keys that were taken and not yielded have to be scored again.
        """

    def restart(self) -> None:
        """Revive an engine that died, with half its token budget."""

    def close(self) -> None:
        """Let go of the model and of every process."""


def score_all(engine: Engine, work: Sequence[Scoring]) -> list[Outcome]:
    """Score a list, for callers that have all their work at hand.

    Returns:
        One outcome for each scoring, in the order of `work`.
    """
    outcomes = dict(engine.score(ListFeed(work)))
    return [outcomes[n] for n in range(len(work))]
