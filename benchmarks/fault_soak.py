"""A soak: random, overlapping faults against a real stack while jobs run; then every item is compared.

    python benchmarks/fault_soak.py [--faults 200] [--seed 1] [--minutes 30]

Real processes throughout (valkey-server, API, supervised RQ workers); the engine is `synthetic`, because equality must
be exact. An item is lost if it has no outcome, duplicated if it has two, wrong if its rewards differ from those of an
undisturbed run (or if it has an error). A third of the jobs names an adapter, which is replaced and deleted meanwhile;
their rewards are recomputed with the version that their provenance names. Ends by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import redis

from benchmarks._adapter_faults import ADAPTED, AdapterFaults
from benchmarks._report import table, write
from benchmarks.harness.stack import Stack, http
from benchmarks.harness.undisturbed import rewards
from benchmarks.harness.waiting import wait_for

WORKERS = 3
DETECTIONS = 8
SETTINGS = {
    "TOKENREWARD_SYNTHETIC_RATE": "60",
    "TOKENREWARD_SHARD_ITEMS": "25",
    "TOKENREWARD_LEASE_SECONDS": "5",
    "TOKENREWARD_CACHE_TTL_SECONDS": "0",
}


class Soak:
    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        self.random = random.Random(seed)
        self.accepted: dict[str, list[dict]] = {}
        self.done = Counter[str]()
        self.detected: list[float] = []
        self.over = threading.Event()
        self.restarting = threading.Lock()
        self.port = int(stack.url.rsplit(":", 1)[1])
        self.pool = ThreadPoolExecutor(32)
        self.adapters = AdapterFaults(stack, stack.folder / "adapter", self.random)
        self.kinds: list[tuple[Callable[[], None], int]] = [
            (self.adapters.replace_adapter, 5),
            (self.adapters.delete_adapter, 2),
            (self.kill_worker, 6),
            (self.freeze_worker, 3),
            (self.kill_api, 1),
            (self.kill_valkey, 1),
            (self.ring_twice, 3),
            (self.swallow_doorbells, 3),
            (self.vanish_mid_upload, 2),
            (self.vanish_mid_download, 2),
        ]

    # ---- load -------------------------------------------------------------------------------------------

    def submit_forever(self) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            items = [
                {"prompt": f"job {number}", "response": f"item {n} of {number}", "id": f"{number}-{n}"}
                for n in range(self.random.choice([1, 5, 40, 200]))
            ]
            adapted = ADAPTED if number % 3 == 0 else {}
            with contextlib.suppress(httpx2.TransportError):
                answer = http.post(self.stack.url + "/v1/jobs", json={"items": items, **adapted}, timeout=20)
                if answer.status_code == 202:
                    self.accepted[answer.json()["id"]] = items
                    if adapted:
                        self.adapters.accepted(answer.json())
            # Enough to keep three workers busy, not so much that the end takes long.
            self.over.wait(0.2 if self.backlog() < 600 else 1.5)

    def backlog(self) -> int:
        with contextlib.suppress(redis.RedisError):
            return sum(self.stack.redis.zcard(key) for key in self.stack.redis.scan_iter(match="tr:queued:*")) * 25
        return 0

    # ---- faults -----------------------------------------------------------------------------------------

    def workers(self) -> list[psutil.Process]:
        """The worker processes below their supervisors."""
        found = []
        for supervisor in self.stack.workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += psutil.Process(supervisor.pid).children()
        return found

    def kill_worker(self) -> None:
        victim = self.random.choice(self.workers())
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()

    def measure_detection(self, count: int) -> None:
        """Kill a worker that holds a shard while the others live and nothing else is broken; see how long it takes."""
        for _ in range(count):
            victim, held = wait_for(self._busy_worker, 60, "a busy worker")
            victim.kill()
            self.done["kill_worker"] += 1
            self.watch_recovery(*held)
            wait_for(lambda: len(self.workers()) == WORKERS, 60, "the restart")

    def _busy_worker(self) -> tuple[psutil.Process, tuple[str, str]] | None:
        victim = self.random.choice(self.workers())
        held = self.held_by(victim.pid)
        return (victim, held) if held else None

    def held_by(self, pid: int) -> tuple[str, str] | None:
        """(shard, worker) that the process with that pid works on."""
        with contextlib.suppress(redis.RedisError):
            for shard in self.stack.redis.zrange("tr:claimed", 0, -1):
                worker = self.stack.redis.hget(b"tr:shard:" + shard, "worker") or b""
                record = json.loads(self.stack.redis.get(b"tr:worker:" + worker) or b"{}")
                if record.get("pid") == pid:
                    return shard.decode(), worker.decode()
        return None

    def watch_recovery(self, shard: str, worker: str) -> None:
        """How long until the shard has left the dead worker's hands and is held by another, or is done."""
        started = time.monotonic()
        while time.monotonic() - started < 60:
            with contextlib.suppress(redis.RedisError):
                holder = self.stack.redis.hget(f"tr:shard:{shard}", "worker")
                gone = not self.stack.redis.exists(f"tr:shard:{shard}")
                if gone or (holder is not None and holder != worker.encode()):
                    self.detected.append(time.monotonic() - started)
                    return
            time.sleep(0.05)
        self.detected.append(60.0)

    def freeze_worker(self) -> None:
        victim = self.random.choice(self.workers())
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.suspend()
            time.sleep(self.random.uniform(1, 8))
            victim.resume()

    def kill_api(self) -> None:
        with self.restarting:
            assert self.stack.api is not None
            self.stack.api.kill()
            time.sleep(self.random.uniform(0, 1))
            self.stack.start_api(self.port)

    def kill_valkey(self) -> None:
        with self.restarting:
            assert self.stack.valkey is not None
            self.stack.valkey.kill()
            time.sleep(self.random.uniform(0, 1.5))
            self.stack.start_valkey()

    def queues(self) -> list[bytes]:
        with contextlib.suppress(redis.RedisError):
            return [key for key in self.stack.redis.scan_iter(match="rq:queue:tokenreward-*") if b":int" not in key]
        return []

    def ring_twice(self) -> None:
        with contextlib.suppress(redis.RedisError):
            for key in self.stack.redis.scan_iter(match="tr:shard:*"):
                for queue in self.queues():
                    self.stack.redis.lpush(queue, key.removeprefix(b"tr:shard:"))

    def swallow_doorbells(self) -> None:
        with contextlib.suppress(redis.RedisError):
            for queue in self.queues():
                self.stack.redis.lpop(queue, 5)

    def vanish_mid_upload(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as raw:
            head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/x-ndjson\r\n"
            line = b'{"prompt": "p", "response": "never accepted"}\n'
            raw.sendall(head.encode() + b"Content-Length: 10000000\r\n\r\n" + line * 8000)

    def vanish_mid_download(self) -> None:
        if self.accepted:
            job = self.random.choice(list(self.accepted))
            url = f"{self.stack.url}/v1/jobs/{job}/results"
            with contextlib.suppress(httpx2.TransportError), http.stream("GET", url, timeout=10) as answer:
                next(answer.iter_lines(), None)

    def fault(self) -> None:
        kind = self.random.choices([k for k, _ in self.kinds], [w for _, w in self.kinds])[0]
        self.done[kind.__name__] += 1
        self.pool.submit(self._guarded, kind)

    def _guarded(self, kind: Callable[[], None]) -> None:
        with contextlib.suppress(IndexError, OSError, psutil.Error):  # nothing to break at this moment
            kind()

    # ---- the reckoning ----------------------------------------------------------------------------------

    def check(self) -> Counter[str]:
        """Wait for every accepted job, then look at every item."""
        found = Counter[str](items=0, lost=0, duplicated=0, wrong=0, wrong_version=self.adapters.wrong_versions)
        with httpx2.Client(base_url=self.stack.url, timeout=60) as api:
            for job_id, items in self.accepted.items():
                wait_for(lambda j=job_id: api.get(f"/v1/jobs/{j}").json()["state"] == "succeeded", 300, f"job {job_id}")
                rows = [json.loads(line) for line in api.get(f"/v1/jobs/{job_id}/results").text.splitlines()][:-1]
                counts = Counter(row["id"] for row in rows)
                by_id = {row["id"]: row for row in rows}
                version = self.adapters.pinned.get(job_id)
                adapted = {"template": "opposite", "versions": {"better": version}} if version else {}
                for item, expected in zip(items, rewards(items, **adapted), strict=True):
                    found["items"] += 1
                    if counts[item["id"]] == 0:
                        found["lost"] += 1
                    elif counts[item["id"]] > 1:
                        found["duplicated"] += 1
                    elif by_id[item["id"]].get("rewards") != expected:
                        found["wrong"] += 1
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30, help="give up (and fail) after this long")
    parser.add_argument("--pause", type=float, default=1.5, help="mean seconds between two faults")
    arguments = parser.parse_args()
    deadline = threading.Timer(arguments.minutes * 60, lambda: signal.raise_signal(signal.SIGINT))
    deadline.daemon = True
    deadline.start()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tokenreward-faults-") as folder, Stack(Path(folder), SETTINGS) as stack:
        stack.start_api()
        for _ in range(WORKERS):
            stack.start_worker(supervised=True, TOKENREWARD_CACHE=str(Path(folder) / "cache"))
        stack.wait_ready(WORKERS)
        soak = Soak(stack, arguments.seed)
        soak.adapters.replace_adapter()
        load = threading.Thread(target=soak.submit_forever, daemon=True)
        load.start()
        soak.measure_detection(DETECTIONS)
        for _ in range(arguments.faults):
            soak.fault()
            time.sleep(soak.random.expovariate(1 / arguments.pause))
        soak.over.set()
        load.join(60)
        soak.pool.shutdown(wait=True)
        found = soak.check()
    figures = {
        "faults": sum(soak.done.values()),
        "kinds": dict(soak.done),
        "adapter_faults": soak.adapters.faults,
        "jobs": len(soak.accepted),
        "adapter_jobs": len(soak.adapters.pinned),
        **found,
        "detect_seconds": max(soak.detected, default=0.0),
        "detect_seconds_median": statistics.median(soak.detected) if soak.detected else 0.0,
        "seconds": time.monotonic() - started,
    }
    table("faults", [(name, value) for name, value in figures.items() if name != "kinds"] + sorted(soak.done.items()))
    write("faults", figures)
    return 1 if any(found[kind] for kind in ("lost", "duplicated", "wrong", "wrong_version")) else 0


if __name__ == "__main__":
    sys.exit(main())
