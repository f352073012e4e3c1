"""How much arithmetic the engines' ways of asking cost, against the least that the work needs (in `make bench`).

    python benchmarks/flops_simulation.py [--size 200000] [--model DIR]

Nothing is computed by a model: the engine's requests are followed one after the other through a prefix cache of whole
blocks, at Llama-3-8B's shape, and their FLOPs are added up. The LM head runs on a request's response rows only, as
vLLM's V2 model runner does it, and a hit ends at the first scored row, as the engine bounds it. Adds
`flops_vs_ideal {workload: ratio}` to build/bench.json.

Best-of-5 under `siblings` with three wrong ones is followed through the transformers engine as well, whose passes are
packed as on a GPU and as on a CPU. What prefix sharing predicts is every distinct token prefix once, in all of the
work. Adds `siblings_vs_predicted`, the worst ratio, and `siblings_vs_predicted_by_engine`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._report import read, table, write
from benchmarks._siblings import siblings
from benchmarks._work import WORKLOADS, workload
from benchmarks.gpu_models import SHAPES
from tokenreward.chat_format import ChatFormat
from tokenreward_workers.engines.base import ListFeed
from tokenreward_workers.engines.flops import body_flops, head_flops
from tokenreward_workers.engines.packed.tree import pack
from tokenreward_workers.engines.packed.window import Window, parts
from tokenreward_workers.engines.vllm.requests import InFlight, Request, RequestOrder
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.scoring import Scoring

#: Tokens of a block of vLLM's KV cache on a GPU.
BLOCK = 16
#: Plain tokens that the engine takes from its feed at a time on a GPU: eight steps of 8,192.
AHEAD = 8 * 8192
#: Tokens of a pass of the transformers engine.
BUDGETS = {"gpu": 8192, "cpu": 1024}


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate every workload, print the ratios and write them down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="whose tokenizer")
    parser.add_argument("--size", type=int, default=200_000, help="tokens of a workload, as a plain scorer counts them")
    options = parser.parse_args(argv)
    renderer = Renderer(ChatFormat.load(Path(resolve_model(options.model).path)), 4096, 10**6)
    shape = SHAPES["8b"]
    ratios, plain = {}, {}
    for name in WORKLOADS:
        work = workload(name, renderer, options.size)
        ideal = work.flops(shape)
        ratios[name] = round(engine_flops(work.scorings, shape) / ideal, 4)
        plain[name] = round(work.plain_flops(shape) / ideal, 4)
    table("FLOPs over the ideal", [(name, f"{ratios[name]:.3f} (plain {plain[name]:.2f})") for name in ratios])
    work = siblings(renderer, options.size)
    predicted = work.flops(shape)
    by_engine = {"vllm": engine_flops(work.scorings, shape) / predicted}
    for device, budget in BUDGETS.items():
        by_engine[f"transformers_{device}"] = packed_flops(work.scorings, shape, budget) / predicted
    by_engine = {name: round(ratio, 4) for name, ratio in by_engine.items()}
    rows = [(name, f"{ratio:.3f}") for name, ratio in by_engine.items()]
    table(f"siblings over what sharing predicts (plain {work.plain_flops(shape) / predicted:.2f})", rows)
    figures = {
        "flops_vs_ideal": ratios,
        "plain_flops_vs_ideal": plain,
        "siblings_vs_predicted": max(by_engine.values()),
        "siblings_vs_predicted_by_engine": by_engine,
    }
    print(write("bench", read("bench") | figures))
    return 0


def engine_flops(work: Sequence[Scoring], shape: Mapping[str, Any]) -> float:
    """Add up the FLOPs of scoring `work` as the vLLM engine asks for it, at a model's shape.

    Args:
        work: The scorings, in the order of the feed.
        shape: The model's config.

    Returns:
        FLOPs of the body for every token that is not read from the cache, attention included, and of the LM head for
        every response row and for the token that each request generates.
    """
    cache = BlockCache()
    total = 0.0
    for request in _requests(work):
        known = cache.hit(request.ids)
        if request.branch is not None:
            # The row before the response is needed, so that a longer hit is cut at the block that holds it.
            known = min(known, (request.start - 1) // BLOCK * BLOCK)
        rows = 1 if request.branch is None else len(request.ids) - request.start + 1
        total += body_flops(shape, range(known, len(request.ids))) + rows * head_flops(shape)
        cache.put(request.ids)
    return total


def packed_flops(work: Sequence[Scoring], shape: Mapping[str, Any], budget: int) -> float:
    """Add up the FLOPs of scoring `work` as the transformers engine packs it, at a model's shape.

    Args:
        work: The scorings, in the order of the feed.
        shape: The model's config.
        budget: Tokens of a pass.

    Returns:
        FLOPs of the body for every packed token, attention included, and of the LM head for every response row.
    """
    window = Window(ListFeed(work))
    total = 0.0
    while True:
        window.fill(budget)
        group = window.next_pass(budget)
        if not group:
            return total
        for part in parts(group, budget):
            packed = pack(part)
            total += sum(body_flops(shape, range(run.shared, run.length)) for run in packed.runs)
            total += sum(len(one.rows) for one in packed.asked) * head_flops(shape)


class BlockCache:
    """Which whole blocks of tokens are known, each with all that stands before it."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: set[int] = set()

    def hit(self, ids: Sequence[int]) -> int:
        """Return how many tokens need not be read; the last one always is, for its logits."""
        blocks = 0
        for block in self._blocks(ids[:-1]):
            if block not in self._known:
                break
            blocks += 1
        return blocks * BLOCK

    def put(self, ids: Sequence[int]) -> None:
        """Remember the blocks of a request that was computed."""
        self._known.update(self._blocks(ids))

    @staticmethod
    def _blocks(ids: Sequence[int]) -> Iterable[int]:
        name = 0
        for start in range(0, len(ids) // BLOCK * BLOCK, BLOCK):
            name = hash((name, *ids[start : start + BLOCK]))
            yield name


def _requests(work: Sequence[Scoring]) -> Iterable[Request]:
    feed, order = ListFeed(work), RequestOrder(cached=True)
    while taken := feed.take(AHEAD, wait=True):
        yield from order.of([InFlight(key, scoring) for key, scoring in taken])


if __name__ == "__main__":
    raise SystemExit(main())
