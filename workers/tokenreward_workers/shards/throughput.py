"""What a worker did and how fast, for its record and for the size of its next shards."""

from __future__ import annotations

import threading
import time
from collections import deque

_WINDOW = 60.0
_SMOOTHING = 0.3


class Throughput:
    """Counters since start; the busy share is of the last minute. Threads may write and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._spans: deque[tuple[float, float]] = deque()  # (end, seconds) the engine was busy
        self.shards = self.items = self.tokens = self.cache_hits = 0
        self.busy_seconds = 0.0
        self.tokens_per_second: float | None = None

    def scored(self, tokens: int, seconds: float, worked: bool) -> None:
        """The engine finished a shard of that many (plain) tokens in that many seconds."""
        if not worked:
            return
        with self._lock:
            self.tokens += tokens
            self.busy_seconds += seconds
            self._spans.append((time.monotonic(), seconds))
            if seconds > 0 and tokens:
                rate = tokens / seconds
                old = self.tokens_per_second
                self.tokens_per_second = rate if old is None else old + _SMOOTHING * (rate - old)

    def committed(self, items: int, cache_hits: int) -> None:
        with self._lock:
            self.shards += 1
            self.items += items
            self.cache_hits += cache_hits

    @property
    def busy_share(self) -> float:
        with self._lock:
            now = time.monotonic()
            while self._spans and self._spans[0][0] < now - _WINDOW:
                self._spans.popleft()
            window = min(_WINDOW, now - self._started)
            return min(1.0, sum(seconds for _, seconds in self._spans) / window) if window else 0.0
