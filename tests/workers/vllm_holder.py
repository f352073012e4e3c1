"""A process that holds a vLLM engine, for tests that kill: `python vllm_holder.py MODEL`.

On stdout, in lines that start with `>`: the pids of its children; what came of killing its own EngineCore; whether
the scores after a restart are the same; the pids again. Then it waits to be killed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tokenreward_workers.engines.base import EngineDied, Scoring
from tokenreward_workers.engines.vllm import VllmEngine, VllmSettings


def children() -> list[int]:
    return [child.pid for child in psutil.Process().children(recursive=True)]


def main() -> None:
    engine = VllmEngine(Path(sys.argv[1]), VllmSettings(dtype="float32", kv_gib=0.1, token_budget=128))
    work = [Scoring((5, 6, 7), {"a": (8,), "b": (9,)}, (10, 11, n)) for n in range(12, 20)]
    first = dict(engine.score(work))
    print(">", *children(), flush=True)
    for pid in children():
        psutil.Process(pid).kill()
    try:
        dict(engine.score(work))
    except EngineDied:
        print("> EngineDied", flush=True)
    engine.restart()
    second = dict(engine.score(work))
    same = all((first[n][b] == second[n][b]).all() for n in first for b in ("a", "b"))  # type: ignore[index]
    print("> same" if same else "> different", flush=True)
    print(">", *children(), flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main()
