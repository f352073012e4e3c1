"""Keeps worker processes running: a dead one is started again, with back-off; one that never could start is not.

Usually there is one. With `data_parallel` there are several, each with GPUs of its own: the queue deals the work out,
so they need nothing of each other, which is why vLLM's own data parallelism (one engine of many processes that step
together) is not used.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from tokenreward.errors import BadInput

log = logging.getLogger("tokenreward.supervisor")

#: The exit status of a start that no restart can mend (a wrong model path, say), unless an earlier one went well.
HOPELESS = 78

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
_HEALTHY_AFTER = 10.0
_LOOK_EVERY = 0.1


def gpus(workers: int, each: int, visible: str | None) -> list[str | None]:
    """Deal GPUs out to workers.

    Args:
        workers: How many there are.
        each: GPUs for each of them.
        visible: CUDA_VISIBLE_DEVICES of this process, if it is set.

    Returns:
        CUDA_VISIBLE_DEVICES of each worker; None leaves it as it is.

    Raises:
        BadInput: Fewer GPUs are visible than are needed.
    """
    if workers == 1:
        return [None]
    named = visible.split(",") if visible else [str(n) for n in range(workers * each)]
    if len(named) < workers * each:
        raise BadInput(f"{workers} workers with {each} GPU(s) each need {workers * each}; visible are {visible}")
    return [",".join(named[n * each : (n + 1) * each]) for n in range(workers)]


class _Child:
    """One worker process and what became of its predecessors."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._started = 0.0
        self._pause = _FIRST_PAUSE
        self._again_at = 0.0
        self._proven = False
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start_if_due(self) -> None:
        if self.process is None and time.monotonic() >= self._again_at:
            self._started = time.monotonic()
            # A session of its own: Ctrl-C in the terminal reaches the worker through us, once.
            command = [sys.executable, "-m", "tokenreward_workers.main"]
            self.process = subprocess.Popen(command, env=dict(self._environment), start_new_session=True)

    def hopeless(self) -> bool:
        """Return whether it could not start and never could. If it has ended otherwise, plan its next start."""
        if self.process is None or (status := self.process.poll()) is None:
            return False
        self.process = None
        if status == HOPELESS and not self._proven:
            return True
        # With settings that worked before, a start that fails is a passing trouble: a hub or a disk that is away, say.
        healthy = status != HOPELESS and time.monotonic() - self._started > _HEALTHY_AFTER
        self._proven |= healthy
        self._pause = _FIRST_PAUSE if healthy else min(self._pause * 2, _LONGEST_PAUSE)
        self._again_at = time.monotonic() + self._pause
        log.error("the worker ended with status %d; starting it again in %.1f s", status, self._pause)
        return False


class Supervisor:
    """Runs `python -m tokenreward_workers.main`, once for each device, until told to stop.

    Use it from the main thread: its children are to die with it, and the kernel watches the thread that spawns.
    """

    def __init__(
        self, environment: Mapping[str, str], stop_seconds: float, devices: Sequence[str | None] = (None,)
    ) -> None:
        """Prepare the children.

        Args:
            environment: That of every worker.
            stop_seconds: How long a worker may take to finish what it has begun.
            devices: CUDA_VISIBLE_DEVICES of each worker; None leaves it as it is.
        """
        base = {**environment, "TOKENREWARD_PARENT_PID": str(os.getpid())}
        self._children = [_Child(base | ({"CUDA_VISIBLE_DEVICES": d} if d is not None else {})) for d in devices]
        self._stop_seconds = stop_seconds
        self._stopping = False

    def run(self) -> int:
        """Run until stopped. Returns 0 after a stop, or the status of a start that no restart can mend."""
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._on_signal)
        status = 0
        while not self._stopping:
            for child in self._children:
                child.start_if_due()
                if child.hopeless():
                    status, self._stopping = HOPELESS, True
            time.sleep(_LOOK_EVERY)
        self._end()
        return status

    def _end(self) -> None:
        """Tell every child to stop, and kill those that do not."""
        running = [child.process for child in self._children if child.running and child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._stop_seconds + 10
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("worker process %d does not stop: killing it", process.pid)
                process.kill()
                process.wait()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        """Stop in order at the first signal, and kill at the second."""
        if self._stopping:
            for child in self._children:
                if child.running and child.process is not None:
                    child.process.kill()
        self._stopping = True
