"""Keeps one worker process running: a dead one is started again, with back-off; one that cannot start is not."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType

log = logging.getLogger("tokenreward.supervisor")

#: The exit status of a start that no restart can mend (a wrong model path, say).
HOPELESS = 78

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
_HEALTHY_AFTER = 10.0


class Supervisor:
    """Runs `python -m tokenreward_workers.main` with `environment` until `stop`. Use it from the main thread."""

    def __init__(self, environment: Mapping[str, str], stop_seconds: float) -> None:
        self._environment = {**environment, "TOKENREWARD_PARENT_PID": str(os.getpid())}
        self._stop_seconds = stop_seconds
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self.restarts = 0

    def run(self) -> int:
        """The exit status of the last child: 0 after `stop`, or that of a start that no restart can mend."""
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._on_signal)
        pause = _FIRST_PAUSE
        while True:
            started = time.monotonic()
            # A session of its own: Ctrl-C in the terminal reaches the worker through us, once.
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tokenreward_workers.main"], env=self._environment, start_new_session=True
            )
            if self._stopping.is_set():
                self._child.terminate()
            status = self._wait()
            if self._stopping.is_set() or status == HOPELESS:
                return 0 if self._stopping.is_set() else status
            pause = _FIRST_PAUSE if time.monotonic() - started > _HEALTHY_AFTER else min(pause * 2, _LONGEST_PAUSE)
            log.error("the worker ended with status %d; starting it again in %.1f s", status, pause)
            self.restarts += 1
            if self._stopping.wait(pause):
                return 0

    def _wait(self) -> int:
        assert self._child is not None
        while True:
            try:
                return self._child.wait(1.0)
            except subprocess.TimeoutExpired:
                if self._stopping.is_set():
                    try:
                        return self._child.wait(self._stop_seconds + 10)
                    except subprocess.TimeoutExpired:
                        log.error("the worker does not stop: killing it")
                        self._child.kill()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        first = not self._stopping.is_set()
        self._stopping.set()
        if self._child is not None and self._child.poll() is None:
            (self._child.terminate if first else self._child.kill)()
