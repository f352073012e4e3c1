"""Which contrast of prompt log-probs finds wrong tokens? The table behind the estimator `evidence`.

    python benchmarks/estimator_search.py [--data ../shared/data] [--every 3] [--keep build/estimator-search.npz]

Scores responses with known wrong spans under every branch of estimator_search.toml, with the demo model through the
vLLM engine, and prints AUROC / stratified AUROC (docs/label-quality.md) of combinations of those log-probs, on all
responses and on every second one apart, so that a figure that one half alone makes is seen. Log-probs are kept: a
second run only computes the table. The smallest set is scored whole, of the others every third response. About 20
minutes on 2 cores. Writes build/estimator-search.json.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


Combination = Callable[[Mapping[str, Floats]], Floats]


def weighted(**weights: float) -> Combination:
    """A sum of log-probs."""
    return lambda logprobs: np.asarray(sum(weight * logprobs[branch] for branch, weight in weights.items()))


def smoothed(width: float, of: Combination) -> Combination:
    return lambda logprobs: averaged(of(logprobs).astype(np.float32), width)


def evidence(null: str, width: float, weight: float, width_null: float, centre: bool) -> Combination:
    def combine(logprobs: Mapping[str, Floats]) -> Floats:
        d = smoothed(width, weighted(plain=1))(logprobs) - weight * smoothed(width_null, weighted(**{null: 1}))(
            logprobs
        )
        return d - d.mean() if centre else d

    return combine


PMI = weighted(plain=1, null=-1)
COMBINATIONS: dict[str, Combination] = {
    "plain (surprisal)": weighted(plain=1),
    "position (later is worse)": lambda logprobs: -np.arange(len(logprobs["plain"]), dtype=np.float64),
    "plain - null": PMI,
    "plain - nullhint": weighted(plain=1, nullhint=-1),
    "plain - otherq": weighted(plain=1, otherq=-1),
    "plain - wrong": weighted(plain=1, wrong=-1),
    "plain - careless": weighted(plain=1, careless=-1),
    "hint3 - badhint3": weighted(hint3=1, badhint3=-1),
    "reread - null": weighted(reread=1, null=-1),
    "step + hint/2 - null/2 - wrong/2": weighted(step=1, hint=0.5, null=-0.5, wrong=-0.5),
    "G2(plain)": smoothed(2, weighted(plain=1)),
    "G2(plain - null)": smoothed(2, PMI),
    "G4(plain - null)": smoothed(4, PMI),
    "G8(plain - null)": smoothed(8, PMI),
    "G1.7(plain) - 0.8 G4(null)": evidence("null", 1.7, 0.8, 4, centre=False),
    "G1.7(plain) - 0.9 G4(null), centred": evidence("null", 1.7, 0.9, 4, centre=True),
    "G1.3(plain) - 1.0 G4(nullhint), centred": evidence("nullhint", 1.3, 1.0, 4, centre=True),
    "G1.7(plain) - 0.8 G4(nullhint), centred": evidence("nullhint", 1.7, 0.8, 4, centre=True),
    "evidence: G1.7(plain) - 0.9 G4(nullhint), centred": evidence("nullhint", 1.7, 0.9, 4, centre=True),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--branches", type=Path, default=Path(__file__).with_suffix(".toml"))
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "estimator-search.npz")
    options = parser.parse_args(argv)
    if options.keep.is_file():
        scored = restored(options.keep)
    else:
        template = Template(**tomllib.loads(options.branches.read_text("utf-8")))
        scored = scored_sets(options.data, template, options.every)
        keep(scored, options.keep)
    figures: dict[str, list[tuple[float, float]]] = {}
    for name, combination in COMBINATIONS.items():
        for found, responses in scored.items():
            parts = (responses, responses[::2], responses[1::2])
            figures[f"{name} | {found}"] = [quality(part, combination) for part in parts]
    table(
        "AUROC / stratified: all, and either half", [(name, " | ".join(map(_shown, f))) for name, f in figures.items()]
    )
    print(write("estimator-search", figures))
    return 0


def scored_sets(data: Path, template: Template, every: int) -> dict[str, list[Scored]]:
    """Log-probs of every set in `data` under every branch."""
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
        ready = renderer.prepare(items, template, list(template.branches))
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
    scores = np.concatenate([-combination(one.logprobs)[k] for one, k in zip(responses, kept, strict=True)])
    bad = np.concatenate([one.judged[k] == BAD for one, k in zip(responses, kept, strict=True)])
    plain = np.concatenate([one.logprobs["plain"][k] for one, k in zip(responses, kept, strict=True)])
    return auroc(scores, bad), auroc(scores, bad, strata(plain))


def _shown(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3f} / {pair[1]:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
