"""What a worker did and how fast, for its record, for claiming ahead, and for the size of its next shards."""

from __future__ import annotations

import threading
import time
from collections import deque

_WINDOW = 60.0
_SMOOTHING = 0.3
#: Busy seconds over which the rate is measured each time.
_SAMPLE = 0.5


class Throughput:
    """Counters since start; the busy share is of the last minute. Threads may write and read.

    Attributes:
        shards: Shards committed.
        items: Items of those shards.
        cache_hits: Items among them whose log-probs were known.
        tokens: Plain tokens scored.
        tokens_per_second: Plain tokens per second of the engine while it has work; None until that is known.
    """

    def __init__(self, tokens_per_second: float | None = None) -> None:
        """Start counting.

        Args:
            tokens_per_second: The rate that was measured before any work came, if one was.
        """
        self.shards = self.items = self.tokens = self.cache_hits = 0
        self.tokens_per_second = tokens_per_second
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._spans: deque[tuple[float, float]] = deque()  # (begin, end) of work
        self._since: float | None = None  # since when the engine has had work without a break
        self._busy = 0.0
        self._sampled_busy = 0.0
        self._sampled_tokens = 0

    def began(self) -> None:
        """The engine, which was idle, has work."""
        with self._lock:
            self._since = time.monotonic()

    def ended(self) -> None:
        """The engine has no work any more."""
        with self._lock:
            self._account(time.monotonic())
            self._since = None
            self._measure()

    def scored(self, tokens: int) -> None:
        """A scoring of so many (plain) tokens is done."""
        with self._lock:
            self.tokens += tokens
            now = time.monotonic()
            if self._since is not None and now - self._since > self._sample:
                self._account(now)
                self._measure()

    def committed(self, items: int, cache_hits: int) -> None:
        with self._lock:
            self.shards += 1
            self.items += items
            self.cache_hits += cache_hits

    @property
    def busy_seconds(self) -> float:
        """Time in which the engine had work."""
        with self._lock:
            return self._busy + (time.monotonic() - self._since if self._since is not None else 0.0)

    @property
    def busy_share(self) -> float:
        """Share of the last minute in which the engine had work, in [0, 1]."""
        with self._lock:
            now = time.monotonic()
            begin = max(self._started, now - _WINDOW)
            while self._spans and self._spans[0][1] < begin:
                self._spans.popleft()
            spans = [*self._spans, (self._since, now)] if self._since is not None else [*self._spans]
            busy = sum(end - max(start, begin) for start, end in spans)
            return min(1.0, busy / (now - begin)) if now > begin else 0.0

    @property
    def _sample(self) -> float:
        """Busy seconds until the next measurement; the first one is not waited for so long."""
        return _SAMPLE if self.tokens_per_second is not None else _SAMPLE / 10

    def _account(self, now: float) -> None:
        """Turn the time since `_since` into a span of work that has been accounted for."""
        if self._since is not None:
            self._busy += now - self._since
            self._spans.append((self._since, now))
            self._since = now

    def _measure(self) -> None:
        seconds, tokens = self._busy - self._sampled_busy, self.tokens - self._sampled_tokens
        if seconds < self._sample or not tokens:
            return
        rate = tokens / seconds
        old = self.tokens_per_second
        self.tokens_per_second = rate if old is None else old + _SMOOTHING * (rate - old)
        self._sampled_busy, self._sampled_tokens = self._busy, self.tokens
