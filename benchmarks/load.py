"""How many small calls a second the real stack answers, how fast, and what happens beyond that.

    python benchmarks/load.py [--seconds 8] [--clients 500] [--items 100000]

A real valkey-server, API and worker (engine `synthetic`, as fast as it goes), all on two cores together with the load
generator, which speaks plain HTTP over asyncio. Three parts:

- Open model: `POST /v1/label` with one item, at random (Poisson) times of a fixed rate, whether or not earlier calls
  are answered; a call's time counts from the moment it was due. The rate grows by a quarter until it saturates: fewer
  than 99% of the calls get a 200, or the slowest hundredth takes longer than a second. `saturation_rps` is the last
  rate before that; `p50_ms` and `p99_ms` are those of half that rate.
- Many clients: 500 connections that each call again as soon as they have an answer. `concurrent_clients_errors` counts
  connections that broke and answers other than 200, 202 and 429.
- One upload: 100,000 tiny items as NDJSON. Time until the 202, growth of the API's memory until all results are read,
  and whether these are complete and in order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks._rawhttp import Connection, Pool
from benchmarks._report import table, write
from benchmarks._usage import Usage
from benchmarks.harness.stack import Stack, http, running
from benchmarks.harness.waiting import wait_for

_FIRST_RATE, _GROWTH, _STEPS = 20.0, 1.25, 26
_SLOW_MS = 1000.0
_CONNECTIONS = 1000
_BARS_MS = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Step:
    """One rate held for a while. latencies: seconds of every call that got a 200, sorted.  used: see `Usage`."""

    rate: float
    statuses: Counter[int]
    latencies: list[float]
    used: dict[str, float]

    def percentile(self, share: float) -> float:
        """In milliseconds."""
        return self.latencies[min(int(share * len(self.latencies)), len(self.latencies) - 1)] * 1000

    @property
    def saturated(self) -> bool:
        answered = self.statuses[200] / max(sum(self.statuses.values()), 1)
        return answered < 0.99 or self.percentile(0.99) > _SLOW_MS


def body(name: str) -> bytes:
    return json.dumps({"items": [{"prompt": "What is 2+2?", "response": f"It is four, says {name}."}]}).encode()


async def at_rate(stack: Stack, rate: float, seconds: float, seed: int) -> Step:
    """Calls at random times, `rate` of them a second, for `seconds`."""
    chance = random.Random(seed)
    pool = Pool(stack.url, _CONNECTIONS)
    usage = Usage(stack, worker=stack.workers[0].pid, load=os.getpid())
    statuses: Counter[int] = Counter()
    latencies: list[float] = []

    async def call(due: float, name: str) -> None:
        status = await pool.post("/v1/label", body(name))
        statuses[status] += 1
        if status == 200:
            latencies.append(time.monotonic() - due)

    due = time.monotonic()
    over = due + seconds
    calls: list[asyncio.Task[None]] = []
    while (due := due + chance.expovariate(rate)) < over:
        if (early := due - time.monotonic()) > 0:
            await asyncio.sleep(early)
        calls.append(asyncio.create_task(call(due, f"{seed}-{len(calls)}")))
    await asyncio.gather(*calls)
    pool.close()
    return Step(rate, statuses, sorted(latencies) or [float("inf")], usage.shares())


def until_saturated(stack: Stack, seconds: float) -> list[Step]:
    """Steps of growing rate; the last one is saturated, unless there were too many."""
    steps: list[Step] = []
    asyncio.run(at_rate(stack, _FIRST_RATE, 2, -1))  # a start in cold blood is no part of any rate
    for n in range(_STEPS):
        steps.append(asyncio.run(at_rate(stack, _FIRST_RATE * _GROWTH**n, seconds, n)))
        last = steps[-1]
        print(
            f"{last.rate:7.1f}/s  p50 {last.percentile(0.5):7.1f} ms  p99 {last.percentile(0.99):7.1f} ms  "
            f"{dict(last.statuses)}  {', '.join(f'{name} {share:.2f}' for name, share in last.used.items())}",
            flush=True,
        )
        if last.saturated:
            break
        time.sleep(1)
    return steps


def histogram(step: Step) -> None:
    """Calls by time, as bars."""
    print(f"\n{step.rate:.0f} calls a second: how long {len(step.latencies)} of them took")
    below = 0.0
    for bound in (*_BARS_MS, float("inf")):
        count = sum(below <= latency * 1000 < bound for latency in step.latencies)
        print(f"  < {bound:>5} ms {count:>7}  {'█' * round(60 * count / len(step.latencies))}")
        below = bound


async def many_clients(url: str, clients: int, seconds: float) -> Counter[int]:
    """Statuses of that many clients which call in a loop; 0 is a connection that broke."""
    statuses: Counter[int] = Counter()
    over = time.monotonic() + seconds

    async def client(number: int) -> None:
        try:
            connection = await Connection.open(url)
            while time.monotonic() < over:
                status, _ = await connection.post("/v1/label", body(f"client {number}"))
                statuses[status] += 1
                if status == 429:
                    await asyncio.sleep(0.5)  # a client that is told to come back does not hammer
            connection.close()
        except (OSError, EOFError, ValueError):
            statuses[0] += 1

    await asyncio.gather(*(client(number) for number in range(clients)))
    return statuses


def upload(stack: Stack, items: int) -> dict[str, Any]:
    """One NDJSON job of tiny items; its results, read to the end."""
    assert stack.api is not None
    process = psutil.Process(stack.api.pid)
    before = process.memory_info().rss
    most = before
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.05):
            most = max(most, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    lines = b"".join(b'{"id":"%d","prompt":"p","response":"r%d"}\n' % (n, n) for n in range(items))
    started = time.monotonic()
    answer = http.post(
        stack.url + "/v1/jobs", content=lines, headers={"content-type": "application/x-ndjson"}, timeout=300
    )
    seconds = time.monotonic() - started
    assert answer.status_code == 202, answer.text
    job = f"{stack.url}/v1/jobs/{answer.json()['id']}"
    wait_for(lambda: http.get(job).json()["state"] == "succeeded", 300, "the job")
    wrong = at = 0
    with http.stream("GET", job + "/results", timeout=300) as results:
        for line in results.iter_lines():
            row = json.loads(line)
            if "next" in row:
                wrong += row["next"] != items or not row["complete"]
                break
            wrong += row["index"] != at or row["id"] != str(at) or not row.get("rewards")
            at += 1
    over.set()
    watching.join()
    return {
        "upload_items": items,
        "upload_100k_seconds": seconds * 100_000 / items,
        "upload_rss_mb": (most - before) / 1e6,
        "upload_wrong_results": wrong + abs(items - at),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8, help="how long each rate is held")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--cores", type=int, default=2, help="cores that everything together may use")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    with tempfile.TemporaryDirectory(prefix="tokenreward-load-") as folder, running(Path(folder)) as stack:
        steps = until_saturated(stack, arguments.seconds)
        good = [step for step in steps if not step.saturated] or steps[:1]
        half = min(good, key=lambda step: abs(step.rate - good[-1].rate / 2))
        time.sleep(2)
        statuses = asyncio.run(many_clients(stack.url, arguments.clients, arguments.seconds))
    with tempfile.TemporaryDirectory(prefix="tokenreward-load-") as folder, running(Path(folder)) as stack:
        uploaded = upload(stack, arguments.items)
    histogram(half)
    histogram(good[-1])
    figures = {
        "saturation_rps": 0.0 if good[-1].saturated else good[-1].rate,
        "saturation_found": steps[-1].saturated,
        "p50_ms": half.percentile(0.5),
        "p99_ms": half.percentile(0.99),
        "p99_ms_at_saturation": good[-1].percentile(0.99),
        "redis_syncing_at_saturation": good[-1].used["redis_syncing"],
        "concurrent_clients": arguments.clients,
        "concurrent_clients_errors": sum(n for status, n in statuses.items() if status not in (200, 202, 429)),
        "concurrent_clients_rps": statuses[200] / arguments.seconds,
        "concurrent_clients_429_share": statuses[429] / max(sum(statuses.values()), 1),
        **uploaded,
        "cores": arguments.cores,
        "steps": [
            {
                "rate": step.rate,
                "p50_ms": step.percentile(0.5),
                "p99_ms": step.percentile(0.99),
                "mean_ms": statistics.fmean(step.latencies) * 1000,
                "statuses": {str(status): n for status, n in step.statuses.items()},
                **step.used,
            }
            for step in steps
        ],
    }
    table("load", [(name, value) for name, value in figures.items() if name != "steps"])
    write("load", figures)
    return 0 if not figures["concurrent_clients_errors"] and not figures["upload_wrong_results"] else 1


if __name__ == "__main__":
    sys.exit(main())
