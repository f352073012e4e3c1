"""Scores fixed work with a tiny model: `python child.py MODEL OUT.npz`. The environment decides which runner does it.

OUT holds the columns of every scenario's rows, and as JSON the counters and which runner it was.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from tokenreward_workers.engines.base import EngineStats, ListFeed
from tokenreward_workers.engines.vllm.engine import VllmEngine
from tokenreward_workers.engines.vllm.settings import VllmSettings
from tokenreward_workers.scoring import Scoring, ScoringFailed
from tokenreward_workers.wanted import NamedIds, Wanted

#: Of the CPU build's KV cache.
BLOCK = 32


def scenarios() -> dict[str, list[Scoring]]:
    """Work by the name of what is difficult about it."""
    random = np.random.default_rng(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(int(i) for i in random.integers(3, 300, count))

    def pair(prefix: tuple[int, ...], response: tuple[int, ...], rest: int = 7) -> Scoring:
        return Scoring(prefix, {"better": (301,) * rest, "worse": (302,) * (rest + 2)}, response)

    mixed = [pair(ids(length), ids(length // 3 + 1)) for length in (5, 40, 70, 130)]
    boundary = ids(3 * BLOCK)
    siblings = [Scoring(boundary, {"better": (301,) * BLOCK, "worse": (302,) * BLOCK}, ids(20)) for _ in range(3)]
    shared = ids(2 * BLOCK)  # the responses begin alike, for more than a block
    near = [pair(ids(3), (*shared, *ids(9))) for _ in range(1)] * 2
    near.append(Scoring(near[0].prefix, near[0].branches, (*near[0].response[:-1], 17)))
    single = [pair(ids(50), ids(1))]
    long = [pair(ids(4), ids(600))]
    wanted = []
    for n, one in enumerate([*mixed, *near, *single, *long, *siblings]):
        named = NamedIds.of(random.integers(0, 320, (len(one.response), 5)))
        kinds = (Wanted(moments=True), Wanted(), Wanted(moments=True, top=12, ids=named))
        wanted.append(replace(one, wanted=kinds[n % 3]))
    return {
        "mixed": mixed,
        "siblings_on_a_block_boundary": siblings,
        "duplicates_and_near_duplicates": near,
        "a_response_of_one_token": single,
        "a_response_of_many_steps": long,
        "evicted": [pair(ids(300), ids(30)) for _ in range(4)] + mixed,
        "more_is_wanted": wanted,
        "preempted": [*mixed, *siblings, *wanted[:8]],
    }


def main() -> None:
    model, out = Path(sys.argv[1]), Path(sys.argv[2])
    engine = VllmEngine(model, VllmSettings(dtype="float32", token_budget=256, blocks=40, kv_gib=0.1))
    found: dict[str, np.ndarray] = {}
    counters: dict[str, dict[str, int]] = {}
    for name, work in scenarios().items():
        engine._engine.reset_prefix_cache()
        before = _counted(engine.stats)
        for key, outcome in engine.score(ListFeed(work, _preempting(engine) if name == "preempted" else None)):
            assert not isinstance(outcome, ScoringFailed), outcome
            found |= {f"{name}.{key}.{branch}": row.columns for branch, row in outcome.items()}
        counters[name] = {field: count - before[field] for field, count in _counted(engine.stats).items()}
    told = {"runner": type(engine._asking).__name__, "counters": counters}
    engine.close()
    np.savez(out, told=json.dumps(told), **found)  # type: ignore[arg-type]


def _counted(stats: EngineStats) -> dict[str, int]:
    return {
        name: getattr(stats, name)
        for name in ("computed_tokens", "cached_tokens", "rescored", "branches", "preemptions")
    }


def _preempting(engine: VllmEngine):  # type: ignore[no-untyped-def]
    """Throws every running request out of the KV cache at every other step, until one that was thrown out has ended.

    The engine is a process of its own and runs ahead of us: at any one step there may be none that runs.
    """
    steps: Iterator[int] = iter(range(40))
    before = engine.stats.preemptions

    def on_step() -> Collection[int]:
        if next(steps, 0) % 2 and engine.stats.preemptions == before:
            engine._engine.reset_prefix_cache(reset_running_requests=True)
        return ()

    return on_step


if __name__ == "__main__":
    main()
