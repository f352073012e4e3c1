"""`tokenreward label` on a large parquet file, and killed at random moments.

    python benchmarks/label_dataset.py [--rows 100000] [--kills 20] [--kill-rows 3000] [--seed 1]

Real processes throughout (valkey-server, API, RQ worker, the command itself); the engine is `synthetic`, so the figures
are the client's: its peak memory, its CPU time, and whether a run that is killed and started again ends with the same
file and no response taken on twice. Its tokens are bytes. Writes build/label-bench.json.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._report import table, write
from benchmarks.harness.processes import COMMAND
from benchmarks.harness.stack import running
from tokenreward import Client

WORDS = ("the quick brown fox jumps over a lazy dog while seven clever otters count small blue stones").split()  # noqa: SIM905
SIDES = ("chosen", "rejected")
#: Responses a second in the runs that are killed, so that they last long enough to be killed often.
KILL_RATE = "500"
#: The job store keeps what it has scored, so that every response taken on can be counted afterwards.
ENVIRONMENT = {"TOKENREWARD_CACHE_TTL_SECONDS": "0"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kill-rows", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="label-bench-") as folder:
        work = Path(folder)
        figures = large_file(work, arguments.rows) | killed(work, arguments)
    table("tokenreward label", figures.items())
    print(f"figures in {write('label-bench', figures)}")
    return 1 if figures["mismatched_files"] or figures["scored_twice"] or not figures["complete"] else 0


def large_file(work: Path, rows: int) -> dict[str, Any]:
    """One undisturbed run over `rows` pairs."""
    source, out = make_input(work / "large.parquet", rows), work / "large-out.parquet"
    with running(folder_in(work, "large"), **ENVIRONMENT) as stack:
        started = time.monotonic()
        process = start(stack.url, source, out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
    assert os.waitstatus_to_exitcode(status) == 0, "the run failed"
    complete, tokens = verified(source, out)
    cpu = usage.ru_utime + usage.ru_stime
    return {
        "rows": rows,
        "response_tokens": tokens,
        "complete": complete,
        "seconds": round(seconds, 1),
        "client_rss_mb": round(usage.ru_maxrss / 1024, 1),
        "client_cpu_s": round(cpu, 2),
        "client_cpu_s_per_million_tokens": round(cpu / tokens * 1e6, 3),
    }


def killed(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """SIGKILL at random moments, each followed by the same command, until there were enough of them."""
    chance = random.Random(arguments.seed)
    source = make_input(work / "killed.parquet", arguments.kill_rows)
    kills = files = mismatched = 0
    with running(folder_in(work, "killed"), TOKENREWARD_SYNTHETIC_RATE=KILL_RATE, **ENVIRONMENT) as stack:
        undisturbed = work / "undisturbed.parquet"
        assert start(stack.url, source, undisturbed).wait() == 0
        before = taken_on(stack.url)  # the record of a job outlives its rows
        while kills < arguments.kills:
            out = work / f"killed-{files}.parquet"
            while not out.exists():
                process = start(stack.url, source, out, "--keep-jobs")
                try:
                    process.wait(timeout=chance.uniform(0.2, 3.0) if kills < arguments.kills else None)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
            files += 1
            mismatched += pq.read_table(out) != pq.read_table(undisturbed)
        twice = taken_on(stack.url) - before - files * arguments.kill_rows * len(SIDES)
    return {
        "kills": kills,
        "killed_files": files,
        "mismatched_files": mismatched,
        "scored_twice": twice,
    }


def taken_on(url: str) -> int:
    """The responses of all jobs that the service knows."""
    with Client(url) as client:
        return sum(job.total_items for job in client.jobs.list())


def start(url: str, source: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [*COMMAND, "label", str(source), "--out", str(out), "--url", url, "--quiet", *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def make_input(path: Path, rows: int) -> Path:
    """Pairs of some hundred characters, the same every time."""
    chance = random.Random(0)
    schema = pa.schema([(name, pa.string()) for name in ("id", "prompt", *SIDES)])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, 5000):
            batch = [
                {"id": f"row-{n}", **{name: " ".join(chance.choices(WORDS, k=20)) for name in schema.names[1:]}}
                for n in range(first, min(rows, first + 5000))
            ]
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
    return path


def verified(source: Path, out: Path) -> tuple[bool, int]:
    """Whether every row is there, in order, with one reward for each token of its own text; and the tokens."""
    tokens, complete = 0, True
    for before, after in zip(batches(source), batches(out), strict=True):
        complete &= before == {name: after[name] for name in before}
        for side in SIDES:
            for text, ids, rewards in zip(
                after[side], after[f"{side}_token_ids"], after[f"{side}_token_rewards"], strict=True
            ):
                complete &= bytes(ids[:-1]) == text.encode() and len(ids) == len(rewards)
                tokens += len(ids)
    return bool(complete), tokens


def batches(path: Path) -> Iterator[dict[str, list[Any]]]:
    for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(batch_size=1000):
        yield batch.to_pydict()


def folder_in(work: Path, name: str) -> Path:
    folder = work / name
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
