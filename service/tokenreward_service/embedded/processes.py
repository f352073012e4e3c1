"""TODO: what this module owns."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

from tokenreward.child_process import die_with

log = logging.getLogger(__name__)


@contextlib.contextmanager
def worker(redis_url: str, arguments: Sequence[str], stop_seconds: float = 75) -> Iterator[subprocess.Popen[bytes]]:
    """A supervised worker process, `tokenreward worker` with `arguments`."""
    environment = os.environ | {"TOKENREWARD_REDIS_URL": redis_url, "TOKENREWARD_PARENT_PID": str(os.getpid())}
    process = _spawn([sys.executable, "-m", "tokenreward.cli", "worker", *arguments], environment)
    try:
        yield process
    finally:
        _stop(process, stop_seconds)


def check_worker(arguments: Sequence[str]) -> int:
    """Whether a worker with these arguments could start: its exit status; it says itself what is wrong."""
    command = [sys.executable, "-m", "tokenreward.cli", "worker", "--check", *arguments]
    return subprocess.run(command, check=False).returncode


def _spawn(command: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal ends us, and we end it in order. Call this from the main thread:
    # the kernel's parent-death signal follows the thread.
    parent = os.getpid()
    return subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=_dying_with(parent))


def _dying_with(parent: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None  # a thread does not survive exec; `tokenreward worker` watches its parent itself
    return lambda: die_with(parent, signal.SIGKILL)


def _stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.error("process %d does not stop: killing it", process.pid)
            process.kill()
            process.wait()
