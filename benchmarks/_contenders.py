"""One way of scoring in a process of its own, stopped (SIGSTOP) while another has its turn.

`python benchmarks/_contenders.py NAME MODEL` loads the model, prints `> ready`, then answers each line
`{"work": FILE, "keep": bool}` with `> {"seconds": ..., "rss": ...}`: how long the file took, and the most memory the
process and its children held meanwhile. `Contender` is the other end.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.plain import Row, read, with_hf, with_vllm

NAMES = ("vllm", "transformers", "plain_vllm_default", "plain_vllm_tuned", "plain_transformers")


class Contender:
    """A child that scores files of work, and uses no processor while it is not asked to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._child: subprocess.Popen[str] | None = None

    def load(self, model: Path) -> None:
        """Starts the child; it is stopped as soon as its model is loaded."""
        environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"}
        if self.name == "plain_vllm_tuned":
            environment |= _tuned()
        self._child = subprocess.Popen(
            [sys.executable, __file__, self.name, str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("BENCH_DEBUG") else None,
            text=True,
            env=environment,
        )
        self._answer()
        self._signal(signal.SIGSTOP)

    def run(self, work: Path) -> dict[str, float]:
        """{"seconds", "rss"} of scoring the file once."""
        self._signal(signal.SIGCONT)
        assert self._child is not None
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"work": str(work)}) + "\n")
        self._child.stdin.flush()
        answer: dict[str, float] = json.loads(self._answer())
        self._signal(signal.SIGSTOP)
        return answer

    def close(self) -> None:
        if self._child is None:
            return
        for process in _family(self._child.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._child.wait()

    def _answer(self) -> str:
        assert self._child is not None
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.startswith("> "):
                return line[2:]
        raise SystemExit(f"{self.name} ended; BENCH_DEBUG=1 shows why")

    def _signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        for process in _family(self._child.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def _tuned() -> dict[str, str]:
    """The threads a user would set after reading vLLM's documentation for CPUs."""
    cpus = sorted(os.sched_getaffinity(0))
    openmp = Path(sys.prefix) / "lib" / "libiomp5.so"
    settings = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cpus)), "OMP_NUM_THREADS": str(len(cpus))}
    return settings | ({"LD_PRELOAD": str(openmp)} if openmp.is_file() else {})


def _family(pid: int) -> list[Any]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _scorer(name: str, model: Path) -> Any:
    """A function that scores rows and returns when all are scored."""
    if name.startswith("plain_vllm"):
        plain = with_vllm(str(model))
        return lambda rows: list(plain(rows))
    if name == "plain_transformers":
        plain = with_hf(str(model))
        return lambda rows: list(plain(rows))
    from tokenreward_workers.engines import load_engine
    from tokenreward_workers.engines.base import score_all
    from tokenreward_workers.scoring import Scoring

    engine: Any = load_engine(name, model).engine

    def ours(rows: list[Row]) -> None:
        if name == "vllm":
            engine._engine.reset_prefix_cache()  # the same work again must not be cheaper
        work = [Scoring.of({side: row[side] for side in ("better", "worse")}, row["response"]) for row in rows]
        count = sum(isinstance(outcome, dict) for outcome in score_all(engine, work))
        assert count == len(rows)

    return ours


class _Memory(threading.Thread):
    """The most memory this process and its children hold while it runs, in bytes, looked at 20 times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.05):
            held = 0
            for process in _family(os.getpid()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    held += process.memory_info().rss
            self.most = max(self.most, held)

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self.most


def main() -> None:
    name, model = sys.argv[1], Path(sys.argv[2])
    score = _scorer(name, model)
    print("> ready", flush=True)
    for line in sys.stdin:
        rows = read(json.loads(line)["work"])
        gc.collect()
        memory = _Memory()
        memory.start()
        started = time.perf_counter()
        score(rows)
        seconds = time.perf_counter() - started
        print("> " + json.dumps({"seconds": seconds, "rss": memory.stop()}), flush=True)


if __name__ == "__main__":
    main()
