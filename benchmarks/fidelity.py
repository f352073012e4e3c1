"""Every engine against a float32 pass of transformers that takes no shortcuts.

    python benchmarks/fidelity.py [--rows 50] [--engines transformers,vllm]     (`make fidelity`)

On the shipped demo set, and on the first rows of a file of preference pairs, both sides, where there is one. The
reference reads every branch's whole sequence on its own, in float32, with the full log-softmax. What bfloat16
itself costs is measured too: two plain bfloat16 passes over the same sequences, alone and in padded batches of 8.
The engines' LM heads are float32 in every case. On every fifth response, entropies, variances and the log-probs of the
likeliest ids are compared as well. Prints a table, writes build/fidelity.json, and exits with 1 if an engine is further
off than it may be. `--engines transformers` leaves vLLM out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._report import ROOT, table, write
from tokenreward import estimators, templates
from tokenreward.chat_format import ChatFormat
from tokenreward.estimators import Moments
from tokenreward.schema import Item
from tokenreward_workers.engines.base import Engine, score_all
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Candidates, Row, Scored, Scoring
from tokenreward_workers.wanted import Wanted

DEMO = ROOT / "client" / "tokenreward" / "demo.jsonl"
PAIRS = ROOT.parent / "shared" / "data" / "pairs_gsm8k_solutions.jsonl"
#: What may be off: float32 rewards at any token, bfloat16 rewards (with a float32 head) on average, and their
#: correlation with float32 at least.
FLOAT32_MAX, BF16_MEAN, BF16_CORRELATION = 1e-5, 0.0016, 0.97
#: The same of entropies, variances and the best ids' log-probs, in nats: in float32 at most, in bfloat16 on average.
BESIDE_FLOAT32_MAX, BESIDE_BF16_MEAN = 1e-3, 0.1
BESIDE = Wanted(moments=True, top=20)
CONTRAST = estimators.resolve("contrast")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--rows", type=int, default=50, help="preference pairs beside the demo set")
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--engines", default="transformers,vllm")
    options = parser.parse_args(argv)
    path = resolve_model(options.model).path
    engines = [name for name in options.engines.split(",") if name != "vllm" or importlib.util.find_spec("vllm")]
    if unknown := set(engines) - {"transformers", "vllm"}:
        parser.error(f"unknown engines: {', '.join(sorted(unknown))}")

    work = scorings(path, items(options.pairs, options.rows))
    beside = [replace(one, wanted=BESIDE) for one in work[::5]]
    say(f"{len(work)} responses, {sum(len(s.response) for s in work)} response tokens; the float32 reference first")
    reference = plain(path, work, "float32", batch=1)
    figures: dict[str, Any] = {"rows": len(work)}
    if "transformers" in engines:
        from tokenreward_workers.engines.packed.engine import TransformersEngine

        for dtype, short in (("float32", "float32"), ("bfloat16", "bf16")):
            say(f"transformers engine, {dtype}")
            engine = TransformersEngine(path, dtype, head_dtype="float32")
            found = score(engine, [*work, *beside])
            figures |= compared(f"transformers_{short}", found[: len(work)], reference)
            figures |= compared_beside(f"transformers_{short}", found[len(work) :], reference[::5])
    if "vllm" in engines:
        say("vllm engine, bfloat16: fast path, then every row without its cache")
        fast, slow, wide = vllm_ways(path, work, beside)
        figures |= compared("vllm_bf16", fast, reference)
        figures |= compared_beside("vllm_bf16", wide, reference[::5])
        figures["vllm_fast_vs_slow_max_abs"] = float(np.abs(joined(fast) - joined(slow)).max())
    say("bfloat16's own noise: the same plain pass in two batch shapes")
    alone, batched = plain(path, work, "bfloat16", batch=1), plain(path, work, "bfloat16", batch=8)
    figures |= compared("noise_bf16", alone, batched)
    figures |= compared("plain_bf16", alone, reference)
    figures["noise_bf16_logprob_max_abs"] = float(np.abs(joined(alone) - joined(batched)).max())

    wrong = broken(figures)
    table("fidelity", [*figures.items(), ("holds", "no: " + "; ".join(wrong) if wrong else "yes")])
    print(write("fidelity", figures))
    return 1 if wrong else 0


def items(pairs: Path, rows: int) -> list[Item]:
    """The demo set, then both sides of `rows` pairs."""
    found = [Item(prompt=row["prompt"], response=row["response"]) for row in _lines(DEMO)]
    if pairs.is_file():
        chosen = list(_lines(pairs))[:rows]
        found += [Item(prompt=row["prompt"], response=row[side]) for row in chosen for side in ("chosen", "rejected")]
    return found


def scorings(path: Path, work: Sequence[Item]) -> list[Scoring]:
    """The items under the `revision` template, as an engine gets them."""
    renderer = Renderer(ChatFormat.load(path), 10**6, 10**6)
    prepared = renderer.prepare(work, templates.resolve("revision"), CONTRAST.branches)
    return [ready.scoring for ready in prepared if isinstance(ready, Prepared)]


def plain(path: Path, work: Sequence[Scoring], dtype: str, batch: int) -> list[Scored]:
    """Whole sequences, right-padded batches, full log-softmax in float32: what anyone would write."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)).eval()
    flat = [
        (n, branch, [*s.prefix, *rest, *s.response]) for n, s in enumerate(work) for branch, rest in s.branches.items()
    ]
    results: list[Scored] = [{} for _ in work]
    for at in range(0, len(flat), batch):
        chunk = flat[at : at + batch]
        ids = torch.zeros(len(chunk), max(len(row) for _, _, row in chunk), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for n, (_, _, row) in enumerate(chunk):
            ids[n, : len(row)] = torch.tensor(row)
            mask[n, : len(row)] = 1
        with torch.inference_mode():
            logprobs = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float().log_softmax(-1)
        picked = logprobs[:, :-1].gather(-1, ids[:, 1:, None])[..., 0].numpy()
        for n, (index, branch, row) in enumerate(chunk):
            first = len(row) - len(work[index].response) - 1
            results[index][branch] = _row(picked[n, first : len(row) - 1], logprobs[n, first : len(row) - 1])
    return results


def score(engine: Engine, work: Sequence[Scoring]) -> list[Scored]:
    """What the engine says, in order; a failure ends the benchmark."""
    found = score_all(engine, work)
    engine.close()
    return [_certain(outcome) for outcome in found]


def vllm_ways(
    path: Path, work: Sequence[Scoring], beside: Sequence[Scoring]
) -> tuple[list[Scored], list[Scored], list[Scored]]:
    """`work` through the prefix cache, and without it; and `beside` through it."""
    from tokenreward_workers.engines.vllm.engine import VllmEngine
    from tokenreward_workers.engines.vllm.settings import VllmSettings

    fast = score(VllmEngine(path, VllmSettings(head_dtype="float32")), [*work, *beside])
    slow = score(VllmEngine(path, VllmSettings(head_dtype="float32", prefix_cache=False)), work)
    return fast[: len(work)], slow, fast[len(work) :]


def compared(name: str, ours: Sequence[Scored], theirs: Sequence[Scored]) -> dict[str, float]:
    """Differences of rewards."""
    a, b = (np.concatenate([_rewards(one) for one in side]) for side in (ours, theirs))
    return {
        f"{name}_max_abs": float(np.abs(a - b).max()),
        f"{name}_mean_abs": float(np.abs(a - b).mean()),
        f"{name}_corr": float(np.corrcoef(a, b)[0, 1]),
    }


def compared_beside(name: str, ours: Sequence[Scored], theirs: Sequence[Scored]) -> dict[str, float]:
    """Differences of what stands beside the log-probs."""
    figures = {}
    pairs = [(_beside(a[branch]), _beside(b[branch])) for a, b in zip(ours, theirs, strict=True) for branch in a]
    for what in pairs[0][0]:
        off = np.concatenate([np.abs(one[what] - other[what]) for one, other in pairs])
        figures[f"{name}_{what}_max_abs"] = float(off.max())
        figures[f"{name}_{what}_mean_abs"] = float(off.mean())
    return figures


def joined(scored: Iterable[Scored]) -> np.ndarray[Any, Any]:
    return np.concatenate([one[branch].logprobs for one in scored for branch in sorted(one)])


def broken(figures: dict[str, Any]) -> list[str]:
    """What does not hold."""
    wrong = []
    if figures.get("transformers_float32_max_abs", 0.0) > FLOAT32_MAX:
        wrong.append(f"transformers in float32 is more than {FLOAT32_MAX} off")
    for engine in ("transformers_bf16", "vllm_bf16"):
        if figures.get(f"{engine}_mean_abs", 0.0) > BF16_MEAN:
            wrong.append(f"{engine}: rewards are more than {BF16_MEAN} off on average")
        if figures.get(f"{engine}_corr", 1.0) < BF16_CORRELATION:
            wrong.append(f"{engine}: rewards correlate less than {BF16_CORRELATION} with float32")
    for what in ("entropy", "variance", "top"):
        if figures.get(f"transformers_float32_{what}_max_abs", 0.0) > BESIDE_FLOAT32_MAX:
            wrong.append(f"transformers in float32: {what} is more than {BESIDE_FLOAT32_MAX} off")
        far = [
            e for e in ("transformers_bf16", "vllm_bf16") if figures.get(f"{e}_{what}_mean_abs", 0) > BESIDE_BF16_MEAN
        ]
        wrong += [f"{engine}: {what} is more than {BESIDE_BF16_MEAN} off on average" for engine in far]
    if figures.get("vllm_fast_vs_slow_max_abs", 0.0) > 2 * figures["noise_bf16_logprob_max_abs"]:
        wrong.append("vLLM's fast path differs from its slow path by more than bfloat16's noise")
    return wrong


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip())


def _row(picked: np.ndarray[Any, Any], logprobs: Any) -> Row:
    """A row with everything in `BESIDE`, out of the log-probs of the whole vocabulary, in float64."""
    whole = logprobs.double()
    p = whole.exp()
    entropy = -(p * whole).sum(-1)
    variance = (p * (whole + entropy[:, None]) ** 2).sum(-1)
    best = whole.topk(BESIDE.top)
    return Row(
        picked.copy(),
        Moments(entropy.float().numpy(), variance.float().numpy()),
        Candidates(best.indices.int().numpy(), best.values.float().numpy()),
    )


def _beside(row: Row) -> dict[str, np.ndarray[Any, Any]]:
    assert row.moments is not None
    assert row.top is not None
    return {"entropy": row.moments.entropy, "variance": row.moments.variance, "top": row.top.logprobs.ravel()}


def _rewards(scored: Scored) -> np.ndarray[Any, Any]:
    return CONTRAST.rewards({branch: row.logprobs for branch, row in scored.items()})


def _certain(outcome: Any) -> Scored:
    if not isinstance(outcome, dict):
        raise SystemExit(f"an engine failed: {outcome}")
    return outcome


if __name__ == "__main__":
    raise SystemExit(main())
