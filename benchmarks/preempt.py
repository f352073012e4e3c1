"""Workers that are taken away all the time, as spot machines are: `python benchmarks/preempt.py [--minutes 20]`.

Four synthetic workers, each of which is replaced once a minute: in turns with SIGTERM and 30 seconds to leave, and with
SIGKILL. Clients keep them busy, and compare every reward with that of an undisturbed run. A call fails if it raises
after the client's own retries, or if a result is missing or wrong. The throughput is compared with that of the same
clients before anything is taken away.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._report import table, write
from benchmarks.harness.processes import Process
from benchmarks.harness.stack import Stack, running
from benchmarks.harness.undisturbed import rewards
from tokenreward import Client, TokenRewardError

WORKERS = 4
_EVERY_SECONDS = 60.0
_GRACE_SECONDS = 30.0
_ROWS = 120
SETTINGS = {
    "TOKENREWARD_SYNTHETIC_RATE": "60",
    "TOKENREWARD_CACHE_TTL_SECONDS": "0",
    "TOKENREWARD_STOP_SECONDS": "20",
}


class Clients:
    """Threads that have rows labeled, one job after the other, and look at every result.

    Attributes:
        rows: Rows with right rewards.
        calls: Jobs that were done.
        failures: What went wrong, in words.
    """

    def __init__(self, url: str, count: int) -> None:
        self.rows = 0
        self.calls = 0
        self.failures: list[str] = []
        self._url = url
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._work) for _ in range(count)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the jobs that are under way."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        with Client(self._url) as client:
            while not self._over.is_set():
                number = next(self._numbers)
                rows = [{"prompt": f"job {number}", "response": f"row {n} of {number}"} for n in range(_ROWS)]
                wrong = self._label(client, rows)
                with self._lock:
                    self.calls += 1
                    self.failures += wrong

    def _label(self, client: Client, rows: list[dict[str, Any]]) -> list[str]:
        found = 0
        try:
            for result, right in zip(client.label(rows).results, rewards(rows), strict=True):
                if result.rewards is None or list(result.rewards) != right:
                    return [f"{result.id}: {result.error or 'other rewards'}"]
                found += 1
                with self._lock:
                    self.rows += 1
        except (TokenRewardError, ValueError) as error:
            return [f"after {found} of {len(rows)} rows: {error}"]
        return []


class Pool:
    """Workers that are replaced in turns."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._leaving: list[tuple[Process, float]] = []
        self._kill = False
        self.replaced = 0

    def replace_one(self) -> None:
        """Take the oldest worker away, and start another one in its place."""
        oldest = self._stack.workers.pop(0)
        if self._kill:
            oldest.kill()
        else:
            oldest.send(signal.SIGTERM)
            self._leaving.append((oldest, time.monotonic() + _GRACE_SECONDS))
        self._kill = not self._kill
        self.replaced += 1
        self._stack.start_worker()

    def end_late_ones(self) -> None:
        """Kill what has not left in time."""
        for worker, deadline in self._leaving[:]:
            if worker.popen.poll() is not None or time.monotonic() > deadline:
                worker.stop(1)
                self._leaving.remove((worker, deadline))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table and write `build/preempt.json`. Returns 1 if a call failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="with workers that are taken away")
    parser.add_argument("--undisturbed", type=float, default=3, help="minutes before that")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), workers=WORKERS, **SETTINGS) as stack:
        clients = Clients(stack.url, WORKERS)
        clients.start()
        try:
            time.sleep(5)  # until every worker is busy
            calm = _rate(clients, 60 * options.undisturbed, lambda: None)
            pool = Pool(stack)
            next_one = time.monotonic()

            def disturb() -> None:
                nonlocal next_one
                pool.end_late_ones()
                if time.monotonic() >= next_one:
                    next_one += _EVERY_SECONDS / WORKERS
                    pool.replace_one()

            disturbed = _rate(clients, 60 * options.minutes, disturb)
        finally:
            clients.stop()
    for failure in clients.failures[:10]:
        print(failure, file=sys.stderr)
    figures = {
        "preempt_minutes": options.minutes,
        "preempt_replaced_workers": pool.replaced,
        "preempt_calls": clients.calls,
        "preempt_failed_calls": len(clients.failures),
        "preempt_rows_per_s_undisturbed": calm,
        "preempt_rows_per_s": disturbed,
        "preempt_throughput_share": disturbed / calm,
    }
    table("preempt", figures.items())
    print(write("preempt", figures))
    return 1 if clients.failures else 0


def _rate(clients: Clients, seconds: float, meanwhile: Any) -> float:
    """Rows a second over a time, in which `meanwhile` is called often."""
    before, began = clients.rows, time.monotonic()
    while time.monotonic() - began < seconds:
        meanwhile()
        time.sleep(0.2)
    return (clients.rows - before) / (time.monotonic() - began)


if __name__ == "__main__":
    raise SystemExit(main())
