"""How many GPUs one API process and one Redis can feed, while results are read back at the same time.

    python benchmarks/scale.py [--workers 1 8 64 256] [--seconds 25] [--cores 2]

A real valkey-server (append-only, synced before every answer) and a real API process; simulated GPUs
(`_simulated_gpus.py`: 36 responses of 300 tokens a second each, in shards of at most 5 s) and one client that sends
jobs and reads results (`_dataset_client.py`), each in a process of its own. Everything runs on the same two cores, so
what the GPUs' hosts and the trainer would do elsewhere takes its share too: the figures are lower bounds.

`busy_share` is engine time over wall time of all GPUs, from when each has had its first shard. The queue is kept two
shards for each worker deep by new uploads: at the end of a measurement at least one must be left, or it was a backlog
that was eaten and not a pace that can be held. `workers_fed` is the largest number that was at least 90% busy, with
that and with reading at most 12 s behind; `bend` is the first number that was not. Sizes beyond the given ones are
doubled until there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks._report import table, write
from benchmarks._simulated_gpus import RESPONSES_PER_SECOND
from benchmarks._usage import Usage
from benchmarks.harness.processes import Process
from benchmarks.harness.stack import Stack
from benchmarks.harness.waiting import wait_for
from tokenreward.protocol import keys

HERE = Path(__file__).parent
ENOUGH = 0.9
#: Results come in input order, so some wait for a shard before theirs. More than so many seconds' is falling behind.
_LAG = 12.0
#: Seconds until the pace is steady, beyond the first shard of every worker.
_WARM = 6.0
_MOST = 1024
SETTINGS = {"TOKENREWARD_SHARD_SECONDS": "3", "TOKENREWARD_LOG_FORMAT": "text"}


class Meter:
    """A child that says what it has done, a line of JSON at a time."""

    def __init__(self, folder: Path, name: str, *arguments: object) -> None:
        command = [sys.executable, str(HERE / f"{name}.py"), *map(str, arguments)]
        self.process = Process(command, folder / f"{name}.log")

    def said(self) -> list[dict[str, Any]]:
        assert self.process.popen.poll() is None, self.process.output()[-3000:]
        lines = self.process.output().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def growth(lines: list[dict[str, Any]], name: str, since: float) -> float:
    """Of a counter, per second, from `since` on."""
    inside = [line for line in lines if line["at"] >= since]
    return (inside[-1][name] - inside[0][name]) / (inside[-1]["at"] - inside[0]["at"])


def measure(workers: int, seconds: float) -> dict[str, Any]:
    """One size, from nothing."""
    with tempfile.TemporaryDirectory(prefix="tokenreward-scale-") as folder, Stack(Path(folder), SETTINGS) as stack:
        stack.start_api()
        gpus = Meter(Path(folder), "_simulated_gpus", stack.redis_url, workers)
        stack.workers.append(gpus.process)
        stack.wait_ready(workers)
        items = min(20_000, max(1_000, round(workers * RESPONSES_PER_SECOND * 4)))
        client = Meter(Path(folder), "_dataset_client", stack.url, stack.redis_url, 2 * workers + 2, items)
        stack.workers.append(client.process)
        wait_for(lambda: gpus.said()[-1]["shards"] >= workers, 120, "a shard for every worker")
        time.sleep(_WARM)
        usage = Usage(stack, gpus=gpus.process.pid, client=client.process.pid)
        since = time.monotonic()
        time.sleep(seconds)
        used = usage.shares()
        done, read = gpus.said(), client.said()
        waiting = sum(stack.redis.zcard(key) for key in stack.redis.scan_iter(match=keys.QUEUED_PREFIX + "*"))
        scored = growth(done, "items", since)
        return {
            "workers": workers,
            "busy_share": growth(done, "busy", since) / workers,
            "scored_per_s": scored,
            "waiting_per_worker": waiting / workers,
            "read_behind_s": (done[-1]["items"] - read[-1]["read"]) / scored,
            "shards_per_s": growth(done, "shards", since),
            "shard_seconds": scored / growth(done, "shards", since) / RESPONSES_PER_SECOND,
            **used,
            "redis_memory_mb": stack.redis.info("memory")["used_memory"] / 1e6,
        }


def enough(row: dict[str, Any]) -> bool:
    return row["busy_share"] >= ENOUGH and row["read_behind_s"] <= _LAG and row["waiting_per_worker"] >= 1


def show(rows: list[dict[str, Any]]) -> None:
    drawn = Table(title="scale")
    for name in rows[0]:
        drawn.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        drawn.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=160).print(drawn)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--seconds", type=float, default=25, help="length of each measurement")
    parser.add_argument("--cores", type=int, default=2, help="cores that everything together may use")
    parser.add_argument("--minutes", type=float, default=9, help="give up after this long")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    deadline = threading.Timer(arguments.minutes * 60, lambda: os._exit(3))
    deadline.daemon = True
    deadline.start()
    rows = []
    for workers in sorted(arguments.workers):
        rows.append(measure(workers, arguments.seconds))
        print(json.dumps(rows[-1]), flush=True)
    while enough(rows[-1]) and rows[-1]["workers"] < _MOST:  # until it bends
        rows.append(measure(2 * rows[-1]["workers"], arguments.seconds))
        print(json.dumps(rows[-1]), flush=True)
    show(rows)
    fed = [row for row in rows if enough(row)]
    figures = {
        "workers_fed": fed[-1]["workers"] if fed else 0,
        "busy_share": fed[-1]["busy_share"] if fed else rows[0]["busy_share"],
        "bend": next((row["workers"] for row in rows if not enough(row)), None),
        "cores": arguments.cores,
        "rows": rows,
    }
    table("scale", [(name, value) for name, value in figures.items() if name != "rows"])
    write("scale", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
