"""How long small jobs wait while another owner's very large job is being done: `python benchmarks/fairness.py`.

One service with API keys and one synthetic worker of a set speed. First a few small jobs come to the idle service. Then
another owner sends a job of many more rows than the worker can do in the time, and a hundred small jobs come, under the
key of the few before. What is compared is the time from a small job's 202 to its first outcome.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks._report import table, write
from benchmarks.harness.processes import COMMAND
from benchmarks.harness.stack import running
from tokenreward import Client

#: Responses a second that the worker scores.
_RATE = 200
_SMALL = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table and write `build/fairness.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100, help="small jobs while the large one is being done")
    parser.add_argument("--large", type=int, default=200_000, help="rows of the large job")
    options = parser.parse_args(argv)
    speed = {"TOKENREWARD_SYNTHETIC_RATE": str(_RATE), "TOKENREWARD_CACHE_TTL_SECONDS": "0"}
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), 1, **speed) as stack:
        few, many = (_key(stack.redis_url, name) for name in ("few", "many"))
        with Client(stack.url, api_key=few) as small, Client(stack.url, api_key=many) as large:
            idle = [_wait(small, n) for n in range(10)]
            alone = _rate(small, 5)
            job = large.jobs.create(_rows("large", options.large))
            before, began = large.jobs.get(job.id).done_items, time.monotonic()
            busy = _waits(small, options.jobs)
            done = large.jobs.get(job.id).done_items - before
            seconds = time.monotonic() - began
            large.jobs.cancel(job.id)
    figures = {
        "small_job_wait_idle_s": statistics.median(idle),
        "small_job_wait_beside_large_s": statistics.median(busy),
        "wait_vs_idle": statistics.median(busy) / statistics.median(idle),
        "large_job_rows_per_s": done / seconds,
        "small_jobs_rows_per_s": options.jobs * _SMALL / seconds,
        "rows_per_s_alone": alone,
    }
    table("fairness", figures.items())
    print(write("fairness", figures))
    return 0


def _key(redis_url: str, name: str) -> str:
    command = [*COMMAND, "keys", "create", name, "--redis-url", redis_url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]


def _rows(name: str, count: int) -> Iterator[dict[str, Any]]:
    return ({"prompt": "a question", "response": f"{name} answer {n} of some words"} for n in range(count))


def _wait(client: Client, number: int) -> float:
    """Seconds from the 202 of a small job to its first outcome; returns when the job is done."""
    job = client.jobs.create(_rows(f"small {number}", _SMALL))
    accepted = time.monotonic()
    while not client.jobs.get(job.id).done_items:
        time.sleep(0.02)
    first = time.monotonic() - accepted
    client.jobs.wait(job.id)
    return first


def _waits(client: Client, count: int) -> list[float]:
    """The waits of so many small jobs, two at a time."""
    found: list[float] = []
    numbers = iter(range(1000, 1000 + count))
    lock = threading.Lock()

    def serve() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            found.append(_wait(client, number))

    threads = [threading.Thread(target=serve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _rate(client: Client, jobs: int) -> float:
    """Rows a second of small jobs that follow each other on an idle service."""
    began = time.monotonic()
    for number in range(500, 500 + jobs):
        _wait(client, number)
    return jobs * _SMALL / (time.monotonic() - began)


if __name__ == "__main__":
    raise SystemExit(main())
