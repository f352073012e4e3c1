"""Three ways to compute what branches share once: our packs, a cached prefix, and one 4D mask for each item.

    python benchmarks/shared_prefix.py [--size 7500] [--reps 3] [--workloads mix,...]

The same scorings, model and threads, interleaved; seconds are medians. The two other ways are what one would write with
transformers alone: a prefix through the model with a cache, then all that continues it as one padded batch; or each
item's prefix and branches as one row under a mask. All take the LM head on response rows only. How far each way's
log-probs are from those of the packs is printed too. Writes build/shared-prefix.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, DynamicCache

from benchmarks._report import table, write
from benchmarks._work import WORKLOADS, workload
from tokenreward.chat_format import ChatFormat
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.engines.packed.engine import TransformersEngine
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.scoring import Row, Scored, Scoring

Way = Callable[[Sequence[Scoring]], list[Scored]]


def packs(path: Path) -> Way:
    engine = TransformersEngine(path)

    def score(work: Sequence[Scoring]) -> list[Scored]:
        return [_whole(outcome) for outcome in score_all(engine, work)]

    return score


def cached_prefix(model: Any) -> Way:
    @torch.inference_mode()
    def score(work: Sequence[Scoring]) -> list[Scored]:
        results: list[Scored] = [{} for _ in work]
        order = sorted(range(len(work)), key=lambda n: work[n].prefix)
        for prefix, members in groupby(order, key=lambda n: work[n].prefix):
            ends = [(n, name, rest, work[n].response) for n in members for name, rest in work[n].branches.items()]
            cache = DynamicCache(config=model.config)
            model.model(input_ids=torch.tensor([prefix]), past_key_values=cache, use_cache=True)
            cache.batch_repeat_interleave(len(ends))
            width = max(len(rest) + len(response) for _, _, rest, response in ends)
            ids = torch.zeros(len(ends), width, dtype=torch.long)
            mask = torch.zeros(len(ends), len(prefix) + width, dtype=torch.long)
            for row, (_, _, rest, response) in enumerate(ends):
                ids[row, : len(rest) + len(response)] = torch.tensor([*rest, *response])
                mask[row, : len(prefix) + len(rest) + len(response)] = 1
            hidden = model.model(input_ids=ids, attention_mask=mask, past_key_values=cache).last_hidden_state
            for row, (n, name, rest, response) in enumerate(ends):
                rows = hidden[row, len(rest) - 1 : len(rest) + len(response) - 1]
                results[n][name] = _log_probs(model, rows, response)
        return results

    return score


def one_mask(model: Any) -> Way:
    @torch.inference_mode()
    def score(work: Sequence[Scoring]) -> list[Scored]:
        results: list[Scored] = []
        for scoring in work:
            ids, positions, starts = list(scoring.prefix), list(range(len(scoring.prefix))), {}
            for name, rest in scoring.branches.items():
                starts[name] = len(ids)
                ids += [*rest, *scoring.response]
                positions += range(len(scoring.prefix), len(scoring.prefix) + len(rest) + len(scoring.response))
            seen = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
            for name, start in starts.items():
                end = start + len(scoring.branches[name]) + len(scoring.response)
                seen[start:end, len(scoring.prefix) : start] = False
                seen[start:end, start:end] = torch.ones(end - start, end - start, dtype=torch.bool).tril()
            mask = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill(~seen, torch.finfo(torch.bfloat16).min)
            given = {"input_ids": torch.tensor([ids]), "position_ids": torch.tensor([positions])}
            hidden = model.model(**given, attention_mask=mask[None, None], use_cache=False).last_hidden_state[0]
            scored = {}
            for name, rest in scoring.branches.items():
                first = starts[name] + len(rest) - 1
                scored[name] = _log_probs(model, hidden[first : first + len(scoring.response)], scoring.response)
            results.append(scored)
        return results

    return score


def _log_probs(model: Any, rows: torch.Tensor, targets: Sequence[int]) -> Row:
    logprobs = model.lm_head(rows).log_softmax(-1, dtype=torch.float32)
    return Row(logprobs.gather(-1, torch.tensor(targets)[:, None])[:, 0].numpy())


def _whole(outcome: Any) -> Scored:
    assert isinstance(outcome, dict), outcome
    return outcome


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=7500)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    options = parser.parse_args(argv)
    path = resolve_model().path
    renderer = Renderer(ChatFormat.load(path), 4096, 10**6)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).eval()
    ways = {"packs": packs(path), "cached_prefix": cached_prefix(model), "one_mask": one_mask(model)}
    figures: dict[str, float] = {}
    for name in options.workloads.split(","):
        work = workload(name, renderer, options.size).scorings
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.reps):
            found = {}
            for way, score in ways.items():
                started = time.perf_counter()
                found[way] = score(work)
                seconds[way].append(time.perf_counter() - started)
            print(name, {way: round(times[-1], 2) for way, times in seconds.items()}, file=sys.stderr, flush=True)
        for way in ways:
            figures[f"{name}_{way}_seconds"] = statistics.median(seconds[way])
            apart = [
                np.abs(a[b].logprobs - o[b].logprobs).mean()
                for a, o in zip(found[way], found["packs"], strict=True)
                for b in a
            ]
            figures[f"{name}_{way}_off"] = float(np.mean(apart))
    table("what branches share, once", figures.items())
    print(write("shared-prefix", figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
