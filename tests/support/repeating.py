"""Threads that do something over and over beside a test, until it leaves the block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self


class Repeating:
    """Runs each of `bodies` in a thread of its own. An error in one ends it, and is raised when the block is left."""

    def __init__(self, bodies: Sequence[Callable[[], object]]) -> None:
        self.over = threading.Event()
        self._bodies = bodies

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(len(self._bodies))
        self._running = [self._pool.submit(body) for body in self._bodies]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.over.set()
        self._pool.shutdown()
        if kind is None:
            for one in self._running:
                one.result()
