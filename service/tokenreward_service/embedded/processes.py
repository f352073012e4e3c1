"""Children of the service: how one is started so that it dies with us, how it is stopped, and the embedded worker."""

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
    """Run a supervised worker for as long as the context lasts.

    Args:
        redis_url: The job store.
        arguments: Those of `tokenreward worker`.
        stop_seconds: How long it may take to stop before it is killed.

    Yields:
        The process.
    """
    environment = os.environ | {"TOKENREWARD_REDIS_URL": redis_url, "TOKENREWARD_PARENT_PID": str(os.getpid())}
    process = spawn([sys.executable, "-m", "tokenreward.cli", "worker", *arguments], environment)
    try:
        yield process
    finally:
        stop(process, stop_seconds)


def check_worker(arguments: Sequence[str]) -> int:
    """The exit status of a worker that only checks whether it could start; it prints itself what is wrong."""
    command = [sys.executable, "-m", "tokenreward.cli", "worker", "--check", *arguments]
    return subprocess.run(command, check=False).returncode


def spawn(command: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a child that the kernel kills when we die."""
    # A session of its own: Ctrl-C in the terminal ends us, and we end it in order. Call this from the main thread:
    # the kernel's parent-death signal follows the thread.
    parent = os.getpid()
    return subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=_dying_with(parent))


def _dying_with(parent: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None  # a thread does not survive exec; `tokenreward worker` watches its parent itself
    return lambda: die_with(parent, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a child; it is killed if it takes longer than `seconds`."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.error("process %d does not stop: killing it", process.pid)
            process.kill()
            process.wait()
