"""An engine that scores nothing: log-probs out of a hash, at a set rate. It is for fault and scale runs only.

It has to be asked for by name, and its name stands in every provenance. The same branch and response give the
same log-probs in every process, so that a run with faults can be compared with one without. It brings a
byte-level tokenizer of its own (`byte_tokenizer`) and needs neither torch nor transformers, so a worker with it
starts in a second.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from tokenreward_workers.engines.base import EngineInfo, EngineStats, Feed, Key, Outcome
from tokenreward_workers.engines.synthetic.byte_tokenizer import VOCABULARY
from tokenreward_workers.engines.synthetic.settings import SyntheticSettings
from tokenreward_workers.scoring import Row, Scored, Scoring, adapter_order

NAME = "synthetic"
#: Tokens of one step of an engine that has a rate in tokens, or none at all.
_STEP_TOKENS = 4096
#: Versions of adapters that it says it holds.
_ADAPTERS = 8

_Work = tuple[Key, Scoring]


class SyntheticEngine:
    """An engine that keeps its rate exactly and dies only by poison.

    Time in which it has no work is lost, as on a GPU; while it has work, it keeps to a schedule, so that a sleep that
    took too long is made up for by the next one.

    Attributes:
        settings: Its rate, and what kills it.
        info: Its name, and the vocabulary of its tokenizer.
        stats: What it has done.
    """

    def __init__(self, settings: SyntheticSettings | None = None, vocabulary: int = VOCABULARY) -> None:
        self.settings = settings or SyntheticSettings.from_environment()
        self.info = EngineInfo(NAME, "1", "float32", self.settings.max_tokens, vocabulary, head_dtype="float32")
        self.stats = EngineStats()
        self._adapters: list[str] = []

    @property
    def tokens_per_second(self) -> float | None:
        """The rate that it was set to; None if it has none in tokens."""
        return self.settings.tokens_per_second or None

    @property
    def adapters(self) -> Sequence[str]:
        return self._adapters

    def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
        """Score what `feed` gives; see `Engine.score`."""
        waiting: deque[_Work] = deque()
        ended, due = False, time.monotonic()
        while True:
            while not ended and (room := self._room(waiting)):
                given = feed.take(room, wait=not waiting)
                ended = given is None
                idle = not waiting
                waiting += given or ()
                if idle:
                    due = time.monotonic()
                if not given:
                    break
            if not waiting:
                if ended:
                    return
                continue
            step = self._step(waiting)
            due += sum(self._seconds(scoring) for _, scoring in step)
            dropped = self._work(due, feed)
            waiting = deque(work for work in waiting if work[0] not in dropped) if dropped else waiting
            for key, scoring in step:
                if key not in dropped:
                    self._count(scoring)
                    yield key, _rows(scoring, self.info.vocabulary)

    def restart(self) -> None:
        self.stats.restarts += 1

    def close(self) -> None:
        pass

    def _room(self, waiting: Collection[_Work]) -> int:
        """How many tokens more it would take, so that two steps' worth wait."""
        if self.settings.rate:
            return 1 if len(waiting) < 2 else 0
        return max(0, 2 * _STEP_TOKENS - sum(scoring.tokens for _, scoring in waiting))

    def _step(self, waiting: deque[_Work]) -> list[_Work]:
        """The work of one step: one response where the rate is in responses, else as many as make a step's tokens."""
        step, tokens = [waiting.popleft()], 0
        tokens += step[0][1].tokens
        while not self.settings.rate and waiting and tokens + waiting[0][1].tokens <= _STEP_TOKENS:
            step.append(waiting.popleft())
            tokens += step[-1][1].tokens
        for _, scoring in step:
            if _contains(scoring.response, self.settings.poison):
                os.kill(os.getpid(), signal.SIGKILL)
            if _contains(scoring.response, self.settings.bug):
                raise RuntimeError("a bug, as TOKENREWARD_SYNTHETIC_BUG asks for")
        return step

    def _seconds(self, scoring: Scoring) -> float:
        if self.settings.rate:
            return 1.0 / self.settings.rate
        return scoring.tokens / self.settings.tokens_per_second if self.settings.tokens_per_second else 0.0

    def _work(self, due: float, feed: Feed) -> set[Key]:
        """Sleep until a step is done, with signs of life. Returns the keys that nobody wants any more."""
        started = time.monotonic()
        dropped: set[Key] = set()
        while (remaining := due - time.monotonic()) > 0:
            time.sleep(min(remaining, self.settings.step_seconds))
            dropped.update(feed.step())
        dropped.update(feed.step())
        self.stats.busy_seconds += time.monotonic() - started
        self.stats.steps += 1
        return dropped

    def _count(self, scoring: Scoring) -> None:
        self.stats.tokens += scoring.tokens
        self.stats.computed_tokens += scoring.tokens
        self.stats.branches += len(scoring.branches)
        for adapter in filter(None, scoring.by_adapter):
            others = [version for version in self._adapters if version != adapter.version]
            self._adapters = [*others, adapter.version][-_ADAPTERS:]


def _contains(response: tuple[int, ...], ids: tuple[int, ...] | None) -> bool:
    if not ids:
        return False
    return any(response[n : n + len(ids)] == ids for n in range(len(response) - len(ids) + 1))


def _rows(scoring: Scoring, vocabulary: int) -> Scored:
    """A repeatable row for each branch: log-probs in (-8, 0], and what is wanted beside them."""
    scored, wanted, length = {}, scoring.wanted, len(scoring.response)
    for name, rest in scoring.branches.items():
        content = np.array([*scoring.prefix, *rest, -1, *scoring.response], dtype=np.int64).tobytes()
        version = adapter_order(scoring.adapters.get(name)).encode()
        seed = int.from_bytes(hashlib.blake2b(content, digest_size=8, key=version).digest(), "big")
        dice = np.random.default_rng(seed)
        columns = np.empty((length, wanted.width), dtype=np.float32)
        columns[:, 0] = dice.random(length, dtype=np.float32)
        columns[:, 1:] = dice.random((length, wanted.width - 1), dtype=np.float32)
        columns[:, wanted.logprobs] *= -8
        if wanted.top:
            first = dice.integers(0, vocabulary, (length, 1))
            columns[:, wanted.top_ids] = (first + np.arange(wanted.top)) % vocabulary
            columns[:, wanted.top_logprobs] = -np.sort(-columns[:, wanted.top_logprobs], axis=1)
        scored[name] = Row.of(columns, wanted)
    return scored
