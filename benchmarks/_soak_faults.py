"""The faults of the soak, and how long it takes until a dead worker's shard is in other hands."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
import psutil
import redis

from benchmarks._soak_adapters import AdapterFaults
from benchmarks._soak_endpoint import Endpoint
from benchmarks._soak_load import SoakLoad
from benchmarks.harness.processes import Process
from benchmarks.harness.replicas import Replicas
from benchmarks.harness.sentinels import Watched
from benchmarks.harness.stack import http
from benchmarks.harness.waiting import wait_for


class SoakFaults:
    """Draws faults and lets them happen, several at a time.

    One replica of the API, one server of the store and one endpoint are down at a time: nobody promises more.

    Attributes:
        done: How many of each kind have begun.
        detected: Seconds until a killed worker's shard was in other hands, for each that was watched.
    """

    def __init__(
        self,
        stack: Watched,
        replicas: Replicas,
        endpoint: Endpoint,
        adapters: AdapterFaults,
        load: SoakLoad,
        dice: random.Random,
    ) -> None:
        self.done = Counter[str]()
        self.detected: list[float] = []
        self._stack = stack
        self._replicas = replicas
        self._endpoint = endpoint
        self._load = load
        self._random = dice
        self._apis, self._store, self._endpoints = threading.Lock(), threading.Lock(), threading.Lock()
        self._pool = ThreadPoolExecutor(32)
        self._begun: list[Future[None]] = []
        self._kinds: dict[Callable[[], None], int] = {
            adapters.replace_adapter: 5,
            adapters.delete_adapter: 2,
            self.kill_worker: 6,
            self.freeze_worker: 3,
            self.kill_api: 2,
            self.kill_primary: 1,
            self.change_over: 1,
            self.kill_endpoint: 1,
            self.ring_twice: 3,
            self.swallow_doorbells: 3,
            self.vanish_mid_upload: 2,
            self.vanish_mid_download: 2,
        }

    def fault(self) -> None:
        """Let one of them happen, beside those that are not over yet."""
        kind = self._random.choices(list(self._kinds), list(self._kinds.values()))[0]
        self.done[kind.__name__] += 1
        self._begun.append(self._pool.submit(self._guarded, kind))

    def wait(self) -> None:
        """Wait until all are over, and raise what went wrong in one of them."""
        for begun in self._begun:
            begun.result()

    @staticmethod
    def _guarded(kind: Callable[[], None]) -> None:
        with contextlib.suppress(IndexError, psutil.Error, redis.RedisError):  # nothing to break at this moment
            kind()

    def measure_detection(self, count: int, workers: list[Process]) -> None:
        """Kill a worker that holds a shard while the others live and nothing else is broken; see how long it takes."""
        for _ in range(count):
            victim, shard, holder = wait_for(lambda: self._busy_worker(workers), 60, "a busy worker")
            victim.kill()
            self.done["kill_worker"] += 1
            self._watch_recovery(shard, holder)
            wait_for(lambda: len(children(workers)) == len(workers), 60, "the restart")

    def _busy_worker(self, workers: list[Process]) -> tuple[psutil.Process, bytes, bytes] | None:
        """A process, the shard that it works on, and its worker's id."""
        victim = self._random.choice(children(workers))
        store = self._stack.redis
        for shard in store.zrange("tr:claimed", 0, -1):
            worker = store.hget(b"tr:shard:" + shard, "worker") or b""
            record = json.loads(store.get(b"tr:worker:" + worker) or b"{}")
            if record.get("pid") == victim.pid:
                return victim, shard, worker
        return None

    def _watch_recovery(self, shard: bytes, worker: bytes) -> None:
        """Wait until the shard has left the dead worker's hands and is held by another, or is done."""
        started = time.monotonic()
        while time.monotonic() - started < 60:
            with contextlib.suppress(redis.RedisError):
                holder = self._stack.redis.hget(b"tr:shard:" + shard, "worker")
                gone = not self._stack.redis.exists(b"tr:shard:" + shard)
                if gone or (holder is not None and holder != worker):
                    break
            time.sleep(0.05)
        self.detected.append(time.monotonic() - started)

    # ---- processes --------------------------------------------------------------------------------------

    def kill_worker(self) -> None:
        self._random.choice(children(self._stack.workers)).kill()

    def freeze_worker(self) -> None:
        victim = self._random.choice(children(self._stack.workers))
        victim.suspend()
        time.sleep(self._random.uniform(1, 8))
        victim.resume()

    def kill_api(self) -> None:
        with self._apis:
            url = self._replicas.any(self._random)
            self._replicas.kill(url)
            time.sleep(self._random.uniform(0, 1))
            self._replicas.start_again(url)

    def kill_endpoint(self) -> None:
        with self._endpoints:
            self._endpoint.kill()
            time.sleep(self._random.uniform(0, 4))
            self._endpoint.start_again()

    # ---- the store --------------------------------------------------------------------------------------

    def kill_primary(self) -> None:
        """It is back before the Sentinels notice, or while they change over, or after that."""
        with self._store:
            port = wait_for(lambda: self._stack.primary, 30, "a primary")
            self._stack.servers[port].kill()
            time.sleep(self._random.uniform(0, 4))
            self._stack.start_server(port)
            self._whole()

    def change_over(self) -> None:
        with self._store:
            self._stack.change_over()
            self._whole()

    def _whole(self) -> None:
        """Wait until a replica follows the primary: only then may the next server die."""
        wait_for(lambda: self._stack.primary and self._stack.followed(), 90, "a primary with its replica")

    # ---- doorbells --------------------------------------------------------------------------------------

    def _queues(self) -> list[bytes]:
        return [key for key in self._stack.redis.scan_iter(match="rq:queue:tokenreward-*") if b":int" not in key]

    def ring_twice(self) -> None:
        for key in self._stack.redis.scan_iter(match="tr:shard:*"):
            for queue in self._queues():
                self._stack.redis.lpush(queue, key.removeprefix(b"tr:shard:"))

    def swallow_doorbells(self) -> None:
        for queue in self._queues():
            self._stack.redis.lpop(queue, 5)

    # ---- clients ----------------------------------------------------------------------------------------

    def vanish_mid_upload(self) -> None:
        port = int(self._replicas.any(self._random).rsplit(":", 1)[1])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as raw:
            head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-ndjson\r\n"
            line = b'{"prompt": "p", "response": "never accepted"}\n'
            raw.sendall(head.encode() + b"Content-Length: 10000000\r\n\r\n" + line * 8000)

    def vanish_mid_download(self) -> None:
        job = self._random.choice(list(self._load.accepted))
        url = f"{self._replicas.any(self._random)}/v1/jobs/{job}/results"
        with contextlib.suppress(httpx2.TransportError), http.stream("GET", url, timeout=10) as answer:
            next(answer.iter_lines(), None)


def children(supervisors: list[Process]) -> list[psutil.Process]:
    """The worker processes below their supervisors."""
    found = []
    for supervisor in supervisors:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += psutil.Process(supervisor.pid).children()
    return found
