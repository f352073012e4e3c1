"""A real stack: valkey-server, API and workers, each a process that may be killed.

Nothing here is a stand-in. The engine is `synthetic` unless another is asked for.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil  # type: ignore[import-untyped]
import redis

from benchmarks.harness.processes import COMMAND, Process
from benchmarks.harness.waiting import patience, wait_for
from tokenreward_service.embedded.valkey import find_server

#: One client for all tests: to make one costs some 30 ms of processor time, which a busy stack would feel.
http = httpx2.Client(timeout=patience(60), trust_env=False)


class Stack:
    """valkey + API + workers on loopback. Use as a context manager.

    environment: TOKENREWARD_* for the API and the workers.
    """

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = environment or {}
        self._private = tempfile.TemporaryDirectory(prefix="tr-test-")
        self.socket = Path(self._private.name) / "valkey.sock"
        self.redis_url = f"unix://{self.socket}"
        self.redis = redis.Redis.from_url(self.redis_url, socket_timeout=5)
        self.valkey: Process | None = None
        self.api: Process | None = None
        self.workers: list[Process] = []
        self.url = ""

    def __enter__(self) -> Stack:
        self.start_valkey()
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, self.api, self.valkey]:
            if process is not None:
                process.stop()
        self.redis.close()
        self._private.cleanup()

    def start_valkey(self, *arguments: str) -> None:
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"]
        command = [str(find_server()), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        self.valkey = Process([*command, *options, *arguments], self.folder / "valkey.log")
        wait_for(self.redis.ping, 20, "valkey-server")

    def start_api(self, port: int = 0, *arguments: str) -> None:
        command = [*COMMAND, "serve", "--port", str(port), "--redis-url", self.redis_url, *arguments]
        self.api = Process(command, self.folder / f"api-{time.monotonic_ns()}.log", self.environment)
        found = wait_for(
            lambda: self._ended(self.api) or re.search(r"listens on (\S+)", self.api.output()), 30, "the API"
        )
        self.url = found[1]
        wait_for(lambda: http.get(self.url + "/healthz", timeout=2).status_code == 200, 20, "healthz")

    def start_worker(self, *arguments: str, engine: str = "synthetic", supervised: bool = False, **env: str) -> Process:
        """A bare worker process (killing it kills the worker), or one below a supervisor."""
        environment = self.environment | {"TOKENREWARD_REDIS_URL": self.redis_url, "TOKENREWARD_ENGINE": engine} | env
        bare = [sys.executable, "-m", "tokenreward_workers.main"]
        command = [*COMMAND, "worker", *arguments] if supervised else bare
        worker = Process(command, self.folder / f"worker-{time.monotonic_ns()}.log", environment)
        self.workers.append(worker)
        return worker

    def wait_ready(self, workers: int = 1, seconds: float = 120) -> None:
        wait_for(
            lambda: http.get(self.url + "/readyz", timeout=5).json().get("workers", 0) >= workers, seconds, "ready"
        )

    @staticmethod
    def _ended(process: Process | None) -> None:
        assert process is not None
        assert process.popen.poll() is None, process.output()


class Served:
    """`tokenreward serve` with a job store and a worker of its own. Use as a context manager."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0, **environment: str) -> None:
        command = [*COMMAND, "serve", "--port", str(port), *arguments]
        self.process = Process(command, folder / "serve.log", {"PYTHONUNBUFFERED": "1"} | environment)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def ready(self, seconds: float = 240) -> str:
        """Its address, once its worker can label."""

        def look() -> re.Match[str] | None:
            assert self.process.popen.poll() is None, self.process.output()
            return re.search(r"^ready: .*, (http://\S+)$", self.process.output(), re.MULTILINE)

        return str(wait_for(look, seconds, "the embedded worker")[1])

    @property
    def url(self) -> str:
        """Its address; waits until its worker can label."""
        return self.ready()

    def family(self) -> list[psutil.Process]:
        """Returns the processes that it started, and theirs."""
        return psutil.Process(self.process.pid).children(recursive=True)


@contextlib.contextmanager
def running(folder: Path, workers: int = 1, engine: str = "synthetic", **environment: str) -> Iterator[Stack]:
    """A stack that is ready to label."""
    with Stack(folder, environment) as stack:
        for _ in range(workers):
            stack.start_worker(engine=engine)
        stack.start_api()  # meanwhile the workers load
        stack.wait_ready(workers)
        yield stack
