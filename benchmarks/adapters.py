"""What adapters cost: eight of them beside one, and from a new version to its first label.

    python benchmarks/adapters.py [--reps 5] [--engines transformers,vllm]      (a part of `make bench`)

The same token ids of the demo model are scored once with one adapter and once with eight that take turns, paired and in
changing order; the ratio is the median over repetitions. Then versions are put into a running service and label a
response each; the time is that of both calls together, and the time of loading the files is in it. Writes its figures
into build/bench.json beside what else is in it.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._report import read, table, write
from benchmarks.harness.adapters import save_adapter
from benchmarks.harness.stack import running
from tokenreward import Client
from tokenreward_workers.engines.base import Engine, score_all
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.scoring import Adapter, Scoring, ScoringFailed

ADAPTERS = 8
#: Responses, and the tokens of their prompts and of themselves.
_RESPONSES, _PROMPT, _RESPONSE = 48, 40, 60
_PUT = 5


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--engines", default="transformers,vllm")
    options = parser.parse_args(argv)
    model = resolve_model("demo").path
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        adapters = [save_adapter(model, folder / str(n), seed=n, r=8) for n in range(ADAPTERS)]
        for name in options.engines.split(","):
            if name == "vllm" and importlib.util.find_spec("vllm") is None:
                continue
            engine = _engine(name, model)
            try:
                figures |= {f"{key}_{name}": value for key, value in _compared(engine, adapters, options.reps).items()}
            finally:
                engine.close()
        figures["adapters8_vs_1"] = max(value for key, value in figures.items() if key.startswith("adapters8_vs_1_"))
        figures["put_to_first_label_s"] = _put_to_first_label(folder, adapters[:_PUT])
    table("adapters", figures.items())
    print(write("bench", read("bench") | figures))
    return 0


def _engine(name: str, model: Path) -> Engine:
    if name == "vllm":
        from tokenreward_workers.engines.vllm.engine import VllmEngine
        from tokenreward_workers.engines.vllm.settings import VllmSettings

        return VllmEngine(model, VllmSettings(max_adapters=ADAPTERS, max_adapter_rank=8))
    from tokenreward_workers.engines.packed.engine import TransformersEngine

    return TransformersEngine(model, max_adapters=ADAPTERS)


def _compared(engine: Engine, adapters: Sequence[Adapter], reps: int) -> dict[str, float]:
    """The ratio of both times, and the tokens a second with one adapter."""
    _seconds(engine, _work(-1, adapters))  # loads them, and what is allocated on first use
    ratios, rates = [], []
    for n in range(reps):
        work = {"eight": _work(n, adapters), "one": _work(n, adapters[:1])}
        order = ("eight", "one") if n % 2 else ("one", "eight")
        times = {name: _seconds(engine, work[name]) for name in order}
        ratios.append(times["eight"] / times["one"])
        rates.append(sum(scoring.tokens for scoring in work["one"]) / times["one"])
        print(f"{engine.info.name}: {times}", file=sys.stderr, flush=True)
    return {"adapters8_vs_1": statistics.median(ratios), "adapters1_tokens_per_s": statistics.median(rates)}


def _work(seed: int, adapters: Sequence[Adapter]) -> list[Scoring]:
    """Responses to prompts of their own, so that nothing is shared whatever scores it."""
    dice = np.random.default_rng(seed + 1)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(int(n) for n in dice.integers(20, 40_000, count))

    return [
        Scoring(ids(_PROMPT), {"a": ()}, ids(_RESPONSE), adapters={"a": adapters[n % len(adapters)]})
        for n in range(_RESPONSES)
    ]


def _seconds(engine: Engine, work: Sequence[Scoring]) -> float:
    started = time.perf_counter()
    for outcome in score_all(engine, work):
        if isinstance(outcome, ScoringFailed):
            raise RuntimeError(outcome.message)
    return time.perf_counter() - started


def _put_to_first_label(folder: Path, adapters: Sequence[Adapter]) -> float:
    """The median time of putting a version and labeling one response with it."""
    times = []
    item = {"prompt": "What is 2+2?", "response": "2+2 equals 4."}
    (folder / "served").mkdir()
    environment = {"TOKENREWARD_CACHE_TTL_SECONDS": "0"}
    with running(folder / "served", engine="transformers", **environment) as stack, Client(stack.url) as client:
        client.label([item])
        for adapter in adapters:
            started = time.perf_counter()
            put = client.adapters.put("policy", adapter.folder)
            answer = client.label([item], template="strong-weak", models={"policy": f"policy@{put.version}"})
            times.append(time.perf_counter() - started)
            assert answer.results[0].rewards
    return statistics.median(times)


if __name__ == "__main__":
    raise SystemExit(main())
