"""Which contrast of prompt log-probs finds wrong tokens? The tables behind the estimator `evidence`.

    python benchmarks/estimator_search.py [--data ../shared/data] [--only plain,null,nullhint] [--every 3]

Scores responses with known wrong spans under the branches of estimator_search.toml, with the demo model through the
vLLM engine, and prints AUROC / stratified AUROC (docs/lab-notebook.md) of combinations of those log-probs, on all
responses and on every second one apart. Then the numbers in `evidence` are chosen again, each time without the data
that they are measured on: on one half of the responses for the other, on two sets for the third. Last, the shipped
estimator as `tokenreward audit` measures it, with intervals. Log-probs are kept (--keep): a second run only computes.
On 2 cores three branches of all responses take about 15 minutes, all branches of a third (--every 3; the smallest set
is always whole) about 20. Writes build/estimator-search.json.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._combinations import COMBINATIONS, GRID, PLAIN, WANTED, Combination, Floats, apart, less_mean
from benchmarks._report import ROOT, table, write
from tokenreward.audit.measures.judged_tokens import SURPRISAL, Tokens, collect
from tokenreward.audit.measures.ranks import auroc, strata
from tokenreward.audit.measures.spans import measure
from tokenreward.audit.set_files import load
from tokenreward.audit.sets import SpanItem, SpanSet
from tokenreward.audit.tokens import LEFT_OUT, judged
from tokenreward.estimators.evidence import EVIDENCE
from tokenreward.schema import Item, Template
from tokenreward.statistics.bootstrap import Interval, Resamples

SETS = {"spans_gsm8k_injected": "gsm8k", "spans_halueval": "halueval", "spans_bigbench_mistake": "bigbench"}


@dataclass(frozen=True)
class Scored:
    """judged: int8 [T] as audit.tokens says.  logprobs: {branch: float64 [T]}."""

    judged: np.ndarray[Any, np.dtype[np.int8]]
    logprobs: Mapping[str, Floats]


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
    audit = {name: audited(scored[name], file) for file, name in SETS.items()} if unseen else {}
    for name, by_label in audit.items():
        table(name, [(f"{label}: {what}", _interval(i)) for label, by in by_label.items() for what, i in by.items()])
    triples = {
        name: {label: {what: i.triple() for what, i in by.items()} for label, by in found.items()}
        for name, found in audit.items()
    }
    print(write("estimator-search", {"combinations": figures, "chosen_again": unseen, "audited": triples}))
    return 0


def chosen_again(scored: Mapping[str, Sequence[Scored]]) -> dict[str, str]:
    """What the best of GRID on one part of the data reaches on the rest. Best: the largest smallest margin."""
    parts = {(name, half): responses[half::2] for name, responses in scored.items() for half in (0, 1)}
    parts |= {(name, 2): responses for name, responses in scored.items()}
    surprisal = {part: pooled_auroc(responses, PLAIN) for part, responses in parts.items()}
    wanted = {part: WANTED.get(part[0], surprisal[part]) for part in parts}
    reached = [
        {
            part: pooled_auroc(responses, less_mean(apart("nullhint", *plain, w, around), response))
            for part, responses in parts.items()
        }
        for plain, w, around, response in GRID
    ]

    def told(chosen_on: Sequence[tuple[str, int]], measured_on: Sequence[tuple[str, int]]) -> str:
        best = max(range(len(GRID)), key=lambda n: min(reached[n][part] - wanted[part] for part in chosen_on))
        figures = (f"{p[0]} {reached[best][p]:.3f} ({surprisal[p]:.3f})" for p in measured_on)
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
    from tokenreward_workers.engines.base import ListFeed
    from tokenreward_workers.model_files.resolve import resolve_model
    from tokenreward_workers.rendering import Prepared, Renderer

    loaded = load_engine("vllm", resolve_model().path)
    engine = loaded.engine
    renderer = Renderer(loaded.chat, engine.info.max_tokens, engine.info.vocabulary)
    work: list[tuple[str, SpanItem, Prepared]] = []
    for file, name in SETS.items():
        found = load(data / f"{file}.jsonl")
        assert isinstance(found, SpanSet)
        chosen = found.items if name == "gsm8k" else found.items[::every]
        items = [Item(prompt=one.prompt, response=one.response) for one in chosen]
        ready = renderer.prepare(items, template, list(branches))
        work += [(name, one, r) for one, r in zip(chosen, ready, strict=True) if isinstance(r, Prepared)]
    outcomes: dict[int, Scored] = {}
    for key, outcome in engine.score(ListFeed([prepared.scoring for *_, prepared in work])):
        index = int(str(key))
        if not isinstance(outcome, dict):
            raise SystemExit(f"{work[index][1].id}: {outcome}")
        _, item, prepared = work[index]
        offsets = np.asarray(renderer.pieces(prepared)[1], dtype=np.int64).reshape(-1, 2)
        wide = {branch: row.logprobs.astype(np.float64) for branch, row in outcome.items()}
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
    scores, tokens = _pooled(responses, combination)
    return auroc(scores, tokens.bad), auroc(scores, tokens.bad, strata(tokens.logprob))


def pooled_auroc(responses: Sequence[Scored], combination: Combination) -> float:
    scores, tokens = _pooled(responses, combination)
    return auroc(scores, tokens.bad)


def _pooled(responses: Sequence[Scored], combination: Combination) -> tuple[Floats, Tokens]:
    tokens = collect([one.judged for one in responses], [one.logprobs["plain"] for one in responses])
    return -np.concatenate([combination.of(one.logprobs)[one.judged != LEFT_OUT] for one in responses]), tokens


def audited(responses: Sequence[Scored], name: str) -> dict[str, dict[str, Interval]]:
    """The audit's figures of surprisal and of the shipped estimator, on the resamples that the audit takes."""
    tokens = collect([one.judged for one in responses], [one.logprobs["plain"] for one in responses])
    given = [
        {"plain": one.logprobs["plain"].astype(np.float32), "null": one.logprobs["nullhint"].astype(np.float32)}
        for one in responses
    ]
    rewards = np.concatenate(
        [EVIDENCE.rewards(branches)[one.judged != LEFT_OUT] for branches, one in zip(given, responses, strict=True)]
    ).astype(np.float64)
    found = measure(tokens, {SURPRISAL: tokens.surprisal, "evidence": rewards}, Resamples(name, len(responses)))
    return {
        label: {
            "auroc": one.auroc.interval,
            "stratified": one.stratified.interval,
            "gain": one.gain.interval,
            "per response": one.per_response.interval,
        }
        for label, one in found.items()
    }


def _shown(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3f} / {pair[1]:.3f}"


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


if __name__ == "__main__":
    raise SystemExit(main())
