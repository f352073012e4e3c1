"""Child processes that log to a file, end with the process that started them, and may be killed at any point."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.harness.waiting import patience, wait_for
from tokenreward.child_process import die_with

#: The `tokenreward` command, run with this interpreter.
COMMAND = [sys.executable, "-m", "tokenreward.cli"]


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Process:
    """A child that dies with its parent, and whose output goes to a file, so that a failing test can show it."""

    def __init__(
        self, command: list[str], log: Path, environment: dict[str, str] | None = None, **options: Any
    ) -> None:
        self.log = log
        self._file = log.open("ab")
        env = os.environ | {"TOKENREWARD_PARENT_PID": str(os.getpid())} | (environment or {})
        if threading.current_thread() is threading.main_thread():  # the kernel watches the thread that spawns
            parent = os.getpid()
            options.setdefault("preexec_fn", lambda: die_with(parent))
        self.popen = subprocess.Popen(
            command, stdout=self._file, stderr=subprocess.STDOUT, env=env, start_new_session=True, **options
        )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def send(self, sig: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.popen.wait(patience(10))

    def wait(self, seconds: float = 30) -> int:
        """Waits for its end, which may take `seconds` on two quiet cores; returns the exit status."""
        return self.popen.wait(patience(seconds))

    def stop(self, seconds: float = 30) -> int:
        """Sends SIGTERM, kills it if it has not ended in time, and returns the exit status."""
        if self.popen.poll() is None:
            self.send(signal.SIGCONT)
            self.popen.terminate()
            try:
                self.popen.wait(patience(seconds))
            except subprocess.TimeoutExpired:
                self.kill()
        self._file.close()
        return int(self.popen.returncode)


def wait_gone(processes: Iterable[psutil.Process], seconds: float = 30) -> None:
    """Waits until all of them have ended. A zombie counts as ended, because another process has to reap it."""
    left = list(processes)

    def ended(process: psutil.Process) -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_for(lambda: all(map(ended, left)), seconds, f"the end of {left}")
