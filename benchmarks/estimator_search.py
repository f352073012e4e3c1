"""Which contrast of prompt log-probs finds wrong tokens? The tables behind the estimator `evidence`.

    python benchmarks/estimator_search.py [--data ../shared/data] [--only plain,null,nullhint] [--every 3]

Scores responses with known wrong spans under the branches of estimator_search.toml, with the demo model through the
vLLM engine, and prints AUROC / stratified AUROC (docs/label-quality.md) of combinations of those log-probs, on all
responses and on every second one apart. Then the numbers in `evidence` are chosen again, each time without the data
that they are measured on: on one half of the responses for the other, on two sets for the third. Log-probs are kept
(--keep): a second run only computes the tables. On 2 cores three branches of all responses take about 15 minutes, all
branches of a third (--every 3; the smallest set is always whole) about 20. Writes build/estimator-search.json.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from _report import ROOT, table, write

from tokenreward.audit.ranks import auroc, strata
from tokenreward.audit.sets import SpanItem, SpanSet, load
from tokenreward.audit.tokens import BAD, LEFT_OUT, judged
from tokenreward.estimators.evidence import averaged
from tokenreward.schema import Item, Template

SETS = {"spans_gsm8k_injected": "gsm8k", "spans_halueval": "halueval", "spans_bigbench_mistake": "bigbench"}
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Scored:
    """judged: int8 [T] as audit.tokens says.  logprobs: {branch: float64 [T]}."""

    judged: np.ndarray[Any, np.dtype[np.int8]]
    logprobs: Mapping[str, Floats]


@dataclass(frozen=True)
class Combination:
    """reads: the branches it needs.  of: {branch: log-probs [T]} -> [T], low for what looks wrong."""

    reads: frozenset[str]
    of: Callable[[Mapping[str, Floats]], Floats]


def weighted(**weights: float) -> Combination:
    """A sum of log-probs."""
    return Combination(frozenset(weights), lambda logprobs: sum((w * logprobs[b] for b, w in weights.items()), ZERO))


def smoothed(before: float, after: float, of: Combination) -> Combination:
    return Combination(of.reads, lambda logprobs: averaged(of.of(logprobs).astype(np.float32), before, after))


def less_mean(of: Combination, response: float = 0.0, null: str = "nullhint") -> Combination:
    """Less its mean, and `response` times the mean of `null` instead."""

    def combine(logprobs: Mapping[str, Floats]) -> Floats:
        d = of.of(logprobs)
        return d - d.mean() + response * logprobs[null].mean()

    return Combination(of.reads | {null}, combine)


def apart(null: str, before: float, after: float, weight: float, around: float) -> Combination:
    """Averages of `plain` and of `null` over widths of their own."""
    plain, other = smoothed(before, after, weighted(plain=1)), smoothed(around, around, weighted(**{null: 1}))
    return Combination(plain.reads | other.reads, lambda logprobs: plain.of(logprobs) - weight * other.of(logprobs))


ZERO = np.zeros(1)
PLAIN, PMI = weighted(plain=1), weighted(plain=1, nullhint=-1)
COMBINATIONS: dict[str, Combination] = {
    "plain (surprisal)": PLAIN,
    "position (later is worse)": Combination(
        PLAIN.reads, lambda logprobs: -np.arange(len(logprobs["plain"]), dtype=float)
    ),
    "plain - nullhint": PMI,
    "plain - null": weighted(plain=1, null=-1),
    "plain - otherq": weighted(plain=1, otherq=-1),
    "plain - wrong": weighted(plain=1, wrong=-1),
    "plain - careless": weighted(plain=1, careless=-1),
    "hint3 - badhint3": weighted(hint3=1, badhint3=-1),
    "reread - null": weighted(reread=1, null=-1),
    "step + hint/2 - null/2 - wrong/2": weighted(step=1, hint=0.5, null=-0.5, wrong=-0.5),
    "mean nullhint": less_mean(weighted(plain=0), 1),
    "G1.7(plain)": smoothed(1.7, 1.7, PLAIN),
    "G1,3(plain)": smoothed(1, 3, PLAIN),
    "G12(plain)": smoothed(12, 12, PLAIN),
    "G1.7(plain - nullhint)": smoothed(1.7, 1.7, PMI),
    "G6(plain - nullhint)": smoothed(6, 6, PMI),
    "G1.7(plain) - 0.9 G4(null), less its mean": less_mean(apart("null", 1.7, 1.7, 0.9, 4)),
    "version 1: G1.7(plain) - 0.9 G4(nullhint), less its mean": less_mean(apart("nullhint", 1.7, 1.7, 0.9, 4)),
    "version 1 + 0.5 mean nullhint": less_mean(apart("nullhint", 1.7, 1.7, 0.9, 4), 0.5),
    "version 1 + mean nullhint": less_mean(apart("nullhint", 1.7, 1.7, 0.9, 4), 1),
    "G3,1(plain) - G4(nullhint), less its mean, + 0.75 mean nullhint": less_mean(apart("nullhint", 3, 1, 1, 4), 0.75),
    "G1,3(plain) - G4(nullhint), less its mean": less_mean(apart("nullhint", 1, 3, 1, 4)),
    "G1,3(plain) - G4(nullhint), less its mean, + 0.5 mean nullhint": less_mean(apart("nullhint", 1, 3, 1, 4), 0.5),
    "evidence: G1,3(plain) - G4(nullhint), less its mean, + 0.75 mean nullhint": less_mean(
        apart("nullhint", 1, 3, 1, 4), 0.75
    ),
}

#: Which `evidence` might have been: widths of plain, weight and width of null, weight of the response.
GRID = list(
    product(
        [(1.7, 1.7), (1, 2), (1, 3), (1, 4), (2, 3), (3, 1)], [0.8, 0.9, 1, 1.1], [3, 4, 6], [0, 0.25, 0.5, 0.75, 1]
    )
)
#: AUROC wanted; on HaluEval, where nothing is far from chance, more than surprisal's.
WANTED = {"gsm8k": 0.82, "bigbench": 0.62}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--branches", type=Path, default=Path(__file__).with_suffix(".toml"))
    parser.add_argument("--only", metavar="BRANCHES", help="score these; combinations of others are left out")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "estimator-search.npz")
    options = parser.parse_args(argv)
    if options.keep.is_file():
        scored = restored(options.keep)
    else:
        template = Template(**tomllib.loads(options.branches.read_text("utf-8")))
        branches = options.only.split(",") if options.only else list(template.branches)
        scored = scored_sets(options.data, template, branches, options.every)
        keep(scored, options.keep)
    known = set(next(iter(scored.values()))[0].logprobs)
    figures: dict[str, list[tuple[float, float]]] = {}
    for name, combination in COMBINATIONS.items():
        for found, responses in scored.items() if combination.reads <= known else ():
            parts = (responses, responses[::2], responses[1::2])
            figures[f"{name} | {found}"] = [quality(part, combination) for part in parts]
    table(
        "AUROC / stratified: all, and either half", [(name, " | ".join(map(_shown, f))) for name, f in figures.items()]
    )
    unseen = chosen_again(scored) if {"plain", "nullhint"} <= known else {}
    table("AUROC of numbers chosen on other data, and surprisal's there", list(unseen.items()))
    print(write("estimator-search", {"combinations": figures, "chosen_again": unseen}))
    return 0


def chosen_again(scored: Mapping[str, Sequence[Scored]]) -> dict[str, str]:
    """What the best of GRID on one part of the data reaches on the rest. Best: the largest smallest margin."""
    parts = {(name, half): responses[half::2] for name, responses in scored.items() for half in (0, 1)}
    parts |= {(name, 2): responses for name, responses in scored.items()}
    wanted = {part: WANTED.get(part[0]) or quality(responses, PLAIN)[0] for part, responses in parts.items()}
    reached = [
        {
            part: quality(responses, less_mean(apart("nullhint", *plain, w, around), response))[0]
            for part, responses in parts.items()
        }
        for plain, w, around, response in GRID
    ]

    def told(chosen_on: Sequence[tuple[str, int]], measured_on: Sequence[tuple[str, int]]) -> str:
        best = max(range(len(GRID)), key=lambda n: min(reached[n][part] - wanted[part] for part in chosen_on))
        figures = (f"{p[0]} {reached[best][p]:.3f} ({quality(parts[p], PLAIN)[0]:.3f})" for p in measured_on)
        return f"{GRID[best]}: {', '.join(figures)}"

    halves = [[(name, half) for name in scored] for half in (0, 1)]
    whole = [(name, 2) for name in scored]
    good = sum(all(one[part] > wanted[part] for part in whole) for one in reached)
    return {
        "first half -> second": told(halves[0], halves[1]),
        "second half -> first": told(halves[1], halves[0]),
        **{f"other sets -> {one[0]}": told([part for part in whole if part != one], [one]) for one in whole},
        "reach every bar": f"{good} of {len(GRID)}",
    }


def scored_sets(data: Path, template: Template, branches: Sequence[str], every: int) -> dict[str, list[Scored]]:
    """Log-probs of every set in `data` under `branches`."""
    from tokenreward_workers.engines import load_engine
    from tokenreward_workers.models import resolve_model
    from tokenreward_workers.rendering import Prepared, Renderer

    loaded = load_engine("vllm", resolve_model().path)
    engine = loaded.engine
    renderer = Renderer(loaded.tokenizer, engine.info.max_tokens, engine.info.vocabulary)
    work: list[tuple[str, SpanItem, Prepared]] = []
    for file, name in SETS.items():
        found = load(data / f"{file}.jsonl")
        assert isinstance(found, SpanSet)
        chosen = found.items if name == "gsm8k" else found.items[::every]
        items = [Item(prompt=one.prompt, response=one.response) for one in chosen]
        ready = renderer.prepare(items, template, list(branches))
        work += [(name, one, r) for one, r in zip(chosen, ready, strict=True) if isinstance(r, Prepared)]
    outcomes: dict[int, Scored] = {}
    for index, logprobs in engine.score([prepared.scoring for *_, prepared in work]):
        if not isinstance(logprobs, dict):
            raise SystemExit(f"{work[index][1].id}: {logprobs}")
        _, item, prepared = work[index]
        offsets = np.asarray(renderer.pieces(prepared)[1], dtype=np.int64).reshape(-1, 2)
        wide = {branch: values.astype(np.float64) for branch, values in logprobs.items()}
        outcomes[index] = Scored(judged(offsets, item.bad, item.ignore), wide)
        if len(outcomes) % 50 == 0:
            print(f"{len(outcomes)} of {len(work)} responses", file=sys.stderr, flush=True)
    engine.close()
    return {name: [outcomes[n] for n in range(len(work)) if work[n][0] == name] for name in SETS.values()}


def keep(scored: Mapping[str, Sequence[Scored]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for name, responses in scored.items():
        for n, one in enumerate(responses):
            arrays |= {f"{name}/{n}/{branch}": values for branch, values in one.logprobs.items()}
            arrays[f"{name}/{n}/"] = one.judged
    np.savez_compressed(path, **arrays)


def restored(path: Path) -> dict[str, list[Scored]]:
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in SETS.values()}
    with np.load(path) as arrays:
        for key in arrays.files:
            name, n, branch = key.split("/")
            found[name].setdefault(n, {})[branch] = arrays[key]
    return {name: [Scored(one.pop(""), one) for one in responses.values()] for name, responses in found.items()}


def quality(responses: Sequence[Scored], combination: Combination) -> tuple[float, float]:
    """AUROC and stratified AUROC, pooled over the judged tokens."""
    kept = [one.judged != LEFT_OUT for one in responses]
    scores = np.concatenate([-combination.of(one.logprobs)[k] for one, k in zip(responses, kept, strict=True)])
    bad = np.concatenate([one.judged[k] == BAD for one, k in zip(responses, kept, strict=True)])
    plain = np.concatenate([one.logprobs["plain"][k] for one, k in zip(responses, kept, strict=True)])
    return auroc(scores, bad), auroc(scores, bad, strata(plain))


def _shown(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3f} / {pair[1]:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
