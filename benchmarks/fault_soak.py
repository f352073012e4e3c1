"""A soak: random, overlapping faults against a real stack while jobs run; then every item is compared.

    python benchmarks/fault_soak.py [--faults 300] [--seed 1] [--minutes 30]

Real processes throughout: a store of two valkey servers that three Sentinels watch, two replicas of the API, three
supervised RQ workers, and a fourth one that scores through a server of its own (`--engine remote`). The engine is
`synthetic`, because equality must be exact. An item is lost if it has no outcome, duplicated if it has two, wrong if
its rewards differ from those of an undisturbed run (or if it has an error). A third of the jobs names an adapter, which
is replaced and deleted meanwhile; their rewards are recomputed with the version that their provenance names. Ends by
itself, and writes build/faults.json.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks._report import table, write
from benchmarks._soak_adapters import AdapterFaults
from benchmarks._soak_endpoint import Endpoint
from benchmarks._soak_faults import SoakFaults
from benchmarks._soak_load import REMOTE, SHARD_ITEMS, SoakLoad
from benchmarks.harness.replicas import Replicas
from benchmarks.harness.sentinels import Watched
from tokenreward_workers.model_files.resolve import resolve_model

WORKERS, APIS = 3, 2
DETECTIONS = 8
SETTINGS = {
    "TOKENREWARD_SYNTHETIC_RATE": "60",
    "TOKENREWARD_SHARD_ITEMS": str(SHARD_ITEMS),
    "TOKENREWARD_LEASE_SECONDS": "5",
    "TOKENREWARD_CACHE_TTL_SECONDS": "0",
}
#: A primary without its replica takes no writes: what it accepted alone would be lost with it.
SAFE = ("--min-replicas-to-write", "1")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30, help="give up (and fail) after this long")
    parser.add_argument("--pause", type=float, default=1.5, help="mean seconds between two faults")
    arguments = parser.parse_args()
    deadline = threading.Timer(arguments.minutes * 60, lambda: signal.raise_signal(signal.SIGINT))
    deadline.daemon = True
    deadline.start()
    started = time.monotonic()
    dice = random.Random(arguments.seed)
    tokenizer = resolve_model().path
    with contextlib.ExitStack() as stop:
        folder = Path(stop.enter_context(tempfile.TemporaryDirectory(prefix="tokenreward-faults-")))
        stack = stop.enter_context(Watched(folder, SETTINGS, SAFE))
        endpoint = Endpoint(folder / "endpoint", tokenizer)
        stop.callback(endpoint.stop)
        replicas = Replicas(stack, APIS)
        stop.callback(replicas.stop)
        workers = [stack.start_worker(supervised=True, TOKENREWARD_CACHE=str(folder / "cache")) for _ in range(WORKERS)]
        behind = {"TOKENREWARD_MODEL": str(tokenizer), "TOKENREWARD_MODEL_NAME": REMOTE}
        stack.start_worker(engine="remote", supervised=True, TOKENREWARD_ENDPOINT=endpoint.url, **behind)
        stack.wait_ready(WORKERS + 1)

        adapters = AdapterFaults(lambda: replicas.any(dice), folder / "adapter", dice)
        adapters.replace_adapter()
        load = SoakLoad(stack, replicas, adapters, tokenizer, dice)
        faults = SoakFaults(stack, replicas, endpoint, adapters, load, dice)
        load.start()
        faults.measure_detection(DETECTIONS, workers)
        for _ in range(arguments.faults - DETECTIONS):
            faults.fault()
            time.sleep(dice.expovariate(1 / arguments.pause))
        load.stop()
        faults.wait()
        replicas.check()
        found = load.check()
    found["wrong_version"] = adapters.wrong_versions
    figures = {
        "faults": sum(faults.done.values()),
        "kinds": dict(faults.done),
        "adapter_faults": adapters.faults,
        "jobs": len(load.accepted),
        "adapter_jobs": len(adapters.pinned),
        "remote_jobs": load.remote_jobs(),
        **found,
        "detect_seconds": max(faults.detected),
        "detect_seconds_median": statistics.median(faults.detected),
        "seconds": time.monotonic() - started,
    }
    table("faults", [(name, value) for name, value in figures.items() if name != "kinds"] + sorted(faults.done.items()))
    write("faults", figures)
    broken = any(found[kind] for kind in ("lost", "duplicated", "wrong", "wrong_version"))
    untried = [kind for kind in ("jobs", "adapter_jobs", "remote_jobs") if not figures[kind]]
    return 1 if broken or untried else 0


if __name__ == "__main__":
    sys.exit(main())
