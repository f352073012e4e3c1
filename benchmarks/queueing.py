"""What the machinery around the engine costs: is the engine kept busy, do small calls keep up, what does one call cost?

    python benchmarks/queueing.py [--engine vllm] [--repeat 3]

A real stack with the demo model on this machine. `engine_busy_share` is the engine's time over the time from first
claim to last commit of a bulk job; `small_calls_vs_bulk` compares 64 clients that send single items, one after the
other each, with one job of the same size, in responses a second; `single_item_overhead_ms` is a lone call's time beyond
what the engine spent on it. Medians over the repetitions, which alternate. They join `make bench`'s other figures in
build/bench.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx2

from benchmarks._report import read, table, write
from benchmarks.harness.stack import Stack, http, running
from benchmarks.harness.waiting import wait_for

CLIENTS = 64
EACH = 2


def items(count: int, salt: str) -> list[dict[str, str]]:
    """Responses of some 60 tokens, no two alike, so that no cache helps."""
    return [
        {
            "prompt": f"How many apples are left? Case {salt}-{n}.",
            "response": f"There were {n + 20} apples in basket {salt}. "
            + " ".join(f"On day {day} somebody ate {day + n % 7} of them." for day in range(1, 5)),
        }
        for n in range(count)
    ]


def worker(stack: Stack) -> dict[str, Any]:
    return dict(http.get(stack.url + "/v1/workers", timeout=10).json()["workers"][0])


def settled(stack: Stack) -> dict[str, Any]:
    """The worker's record once it is idle and has been published again."""
    done = worker(stack)["seen"]
    return dict(wait_for(lambda: (now := worker(stack))["seen"] > done + 2 and not now["shards"] and now, 30, "idle"))


def bulk(stack: Stack, salt: str) -> tuple[float, float]:
    """(responses a second, busy share) of one job."""
    work = items(CLIENTS * EACH, salt)
    before = settled(stack)["busy_seconds"]
    job_id = http.post(stack.url + "/v1/jobs", json={"items": work}, timeout=60).json()["id"]
    over = lambda: (job := http.get(f"{stack.url}/v1/jobs/{job_id}").json())["state"] == "succeeded" and job  # noqa: E731
    job = wait_for(over, 600, "the bulk job")
    seconds = job["finished_at"] - job["started_at"]
    return len(work) / seconds, (settled(stack)["busy_seconds"] - before) / seconds


def small(stack: Stack, salt: str) -> float:
    """Responses a second of many clients with one item at a time."""
    work = iter(items(CLIENTS * EACH, salt))
    lock = threading.Lock()

    def client(own: httpx2.Client) -> None:
        for _ in range(EACH):
            with lock:
                item = next(work)
            own.post("/v1/label", json={"items": [item]}, headers={"Prefer": "wait=100"}).raise_for_status()

    # Made before the clock runs: a client takes some 30 ms of processor time to make, and its owner made it long ago.
    clients = [httpx2.Client(base_url=stack.url, timeout=120) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client, args=(own,)) for own in clients]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    for own in clients:
        own.close()
    return CLIENTS * EACH / seconds


def overhead(stack: Stack, salt: str, calls: int = 10) -> float:
    """Milliseconds a lone call takes beyond the engine's time."""
    before = settled(stack)["busy_seconds"]
    spent = 0.0
    for item in items(calls, salt):
        started = time.monotonic()
        http.post(stack.url + "/v1/label", json={"items": [item]}).raise_for_status()
        spent += time.monotonic() - started
    return (spent - (settled(stack)["busy_seconds"] - before)) / calls * 1000


def measure(engine: str, repeat: int) -> dict[str, Any]:
    """The figures, as a dict of DESIGN's names."""
    rates, shares, calls, extra = [], [], [], []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), engine=engine) as stack:
        bulk(stack, "warm")
        small(stack, "warm-small")
        for n in range(repeat):
            rate, share = bulk(stack, f"bulk-{n}")
            rates.append(rate)
            shares.append(share)
            calls.append(small(stack, f"small-{n}"))
            extra.append(overhead(stack, f"lone-{n}"))
    return {
        "engine_busy_share": statistics.median(shares),
        "small_calls_vs_bulk": statistics.median(c / r for c, r in zip(calls, rates, strict=True)),
        "single_item_overhead_ms": statistics.median(extra),
        "bulk_responses_per_s": statistics.median(rates),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="vllm", choices=["vllm", "transformers", "synthetic"])
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    figures = measure(arguments.engine, arguments.repeat)
    table(f"queueing, {arguments.engine}", figures.items())
    write("bench", read("bench") | figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
