"""How fast each engine labels, beside the plain ways and beside what the machine's matrix units allow.

    python benchmarks/labeling.py [--reps 3] [--workloads mix,...] [--contenders ...] [--export DIR]  (`make bench`)

Every contender is a process of its own that scores the same token ids; they take turns, repetition by repetition,
and all but one are stopped meanwhile. Ratios are medians over repetitions of paired times. Before each repetition the
machine's bfloat16 matrix rate is probed at the model's shapes; the FLOP bound of a repetition is its work at that
rate: every distinct prompt token once through the body, every response token once per branch, attention to what
each token sees, and the LM head on response rows only. Prints tables and writes build/bench.json (beside what
else is in it). `--export` keeps the work as the files that benchmarks/plain.py reads.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._contenders import NAMES, Contender
from benchmarks._report import ROOT, table, write
from benchmarks._work import WORKLOADS, Work, workload
from tokenreward.chat_format import ChatFormat
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.rendering import Renderer

OURS = ("vllm", "transformers")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--contenders", default=",".join(NAMES))
    parser.add_argument("--size", type=int, default=7500, help="tokens of a workload, as a plain scorer counts them")
    parser.add_argument("--export", type=Path, help="keep the work here")
    parser.add_argument("--no-memory", action="store_true", help="skip the measurement of memory growth")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that contenders are ended, not left stopped
    path = resolve_model(options.model).path
    config = json.loads((path / "config.json").read_text("utf-8"))

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.export or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        renderer = Renderer(ChatFormat.load(path), 4096, 10**6)
        works = {name: workload(name, renderer, options.size) for name in options.workloads.split(",")}
        for name, work in works.items():
            work.save(folder / f"{name}.jsonl")
        big = workload("mix", renderer, 10 * options.size, seed=1)
        big.save(folder / "tenfold.jsonl")

        contenders: list[Contender] = []
        try:
            for name in filter(_installed, options.contenders.split(",")):
                contenders.append(Contender(name))
                contenders[-1].load(path)
                say(f"{name} is loaded")
            for contender in contenders:  # what is compiled or allocated on first use is not timed
                for name in works:
                    contender.run(folder / f"{name}.jsonl")
            rounds = [_round(n, contenders, works, folder, path) for n in range(options.reps)]
            growth = {} if options.no_memory else _growth(contenders, folder, next(iter(works)))
        finally:
            for contender in contenders:
                contender.close()

    figures: dict[str, Any] = {}
    for name, work in works.items():
        figures |= _figures(name, work, rounds, config)
    if "mix" in works:
        figures |= {key.removeprefix("mix_"): value for key, value in figures.items() if key.startswith("mix_")}
    figures |= growth
    table("labeling", figures.items())
    earlier = _earlier(ROOT / "build" / "bench.json")
    print(write("bench", earlier | figures))
    return 0


Round = dict[str, Any]


def _round(number: int, contenders: Sequence[Contender], works: Mapping[str, Work], folder: Path, model: Path) -> Round:
    """{"rate": FLOP/s, workload: {contender: seconds}}; the order turns from round to round."""
    rates = [_matrix_rate(model)]
    times: Round = {name: {} for name in works}
    turn = number % len(contenders)
    for contender in [*contenders[turn:], *contenders[:turn]]:
        for name in works:
            times[name][contender.name] = contender.run(folder / f"{name}.jsonl")["seconds"]
            say(f"round {number + 1}, {name}, {contender.name}: {times[name][contender.name]:.2f} s")
        if contender.name in OURS:
            rates.append(_matrix_rate(model))
    times["rate"] = statistics.median(rates)
    say(f"round {number + 1}: {', '.join(f'{rate / 1e9:.0f}' for rate in rates)} GFLOP/s")
    return times


def _figures(name: str, work: Work, rounds: Sequence[Round], config: Mapping[str, Any]) -> dict[str, Any]:
    """Ratios of one workload: medians of paired times, and the lowest and highest of them."""
    flops, plain_flops = work.flops(config), work.plain_flops(config)
    names = list(rounds[0][name])
    found: dict[str, Any] = {f"{name}_sharing_predicts": plain_flops / flops}
    for contender in names:
        rates = [work.plain_tokens / r[name][contender] for r in rounds]
        found[f"{name}_{contender}_tokens_per_s"] = statistics.median(rates)
        bound = [flops / r["rate"] / r[name][contender] for r in rounds]
        found[f"{name}_{contender}_vs_flop_bound"] = statistics.median(bound)
    for ours in OURS:
        for other in names:
            if ours in names and other not in OURS:
                ratios = [r[name][other] / r[name][ours] for r in rounds]
                found[f"{name}_{ours}_vs_{other}"] = statistics.median(ratios)
                found[f"{name}_{ours}_vs_{other}_range"] = f"{min(ratios):.2f} to {max(ratios):.2f}"
    best = [max(found[f"{name}_{n}_{what}"] for n in OURS if n in names) for what in ("vs_flop_bound", "tokens_per_s")]
    return found | {f"{name}_best_vs_flop_bound": best[0], f"{name}_tokens_per_s": best[1]}


def _growth(contenders: Sequence[Contender], folder: Path, small: str) -> dict[str, float]:
    """How much more memory our engines hold in a call with tenfold the items, as a share."""
    shares = {}
    for contender in contenders:
        if contender.name in OURS:
            once = contender.run(folder / f"{small}.jsonl")["rss"]
            shares[contender.name] = contender.run(folder / "tenfold.jsonl")["rss"] / once - 1
            say(f"{contender.name}: {once / 2**20:.0f} MiB, {shares[contender.name]:+.1%} with tenfold the items")
    if not shares:
        return {}
    return {"rss_growth_10x": max(shares.values())} | {
        f"rss_growth_10x_{name}": share for name, share in shares.items()
    }


def _matrix_rate(model: Path) -> float:
    """bfloat16 FLOP/s at the model's shapes, measured in a process of its own."""
    probe = ROOT / "benchmarks" / "_matrix_rate.py"
    ran = subprocess.run([sys.executable, str(probe), str(model)], capture_output=True, text=True, check=True)
    return float(ran.stdout)


def _installed(name: str) -> bool:
    return "vllm" not in name or importlib.util.find_spec("vllm") is not None


def _earlier(path: Path) -> dict[str, Any]:
    """Figures that other parts of `make bench` wrote."""
    try:
        return dict(json.loads(path.read_text("utf-8"))["figures"])
    except (OSError, ValueError, KeyError):
        return {}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
