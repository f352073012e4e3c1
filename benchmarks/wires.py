"""The teacher wires beside `vllm serve`, and the remote engine beside the engine in the worker's own process.

    python benchmarks/wires.py [--sequences 64] [--tokens 512] [--top 0] [--reps 2]

1. `--sequences` sequences of `--tokens` tokens over `POST /v1/completions` with `prompt_logprobs`, from `vllm serve`
   and from `tokenreward serve --engine vllm`: `wire_vs_vllm` is our time by vLLM's (below 1 is faster). The same with
   eight responses to each prompt, and once more with the same request.
2. The workload `mix` through the vLLM engine, through the remote engine over each wire of `vllm serve`, and over the
   same wire of `tokenreward serve`: `remote_vs_local` is the throughput over `vllm-generate` of `vllm serve` by that of
   the engine at hand, and `remote_own_vs_local` that of `tokenreward serve`.

`--parts` leaves one of the two out.

Servers run one after the other, each with all cores. Writes build/wires.json.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from benchmarks._report import table, write
from benchmarks._work import words, workload
from benchmarks.harness.stack import Served
from benchmarks.harness.vllm_serve import vllm_serve
from tokenreward.chat_format import ChatFormat
from tokenreward_workers.engines.base import Engine, score_all
from tokenreward_workers.engines.remote.engine import RemoteEngine
from tokenreward_workers.engines.remote.settings import RemoteSettings, WireName
from tokenreward_workers.model_files.resolve import resolve_model
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.scoring import Scoring

WIRES: tuple[WireName, ...] = ("vllm-generate", "vllm")

#: Median seconds, and the log-probs.
Timed = tuple[float, np.ndarray]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--top", type=int, default=0, help="prompt_logprobs: the likeliest tokens at each place")
    parser.add_argument("--reps", type=int, default=2)
    parser.add_argument("--size", type=int, default=7500, help="tokens of the remote engine's work")
    parser.add_argument("--parts", nargs="+", choices=("wire", "remote"), default=["wire", "remote"])
    options = parser.parse_args(argv)
    model = resolve_model("demo").path
    chat = ChatFormat.load(model)
    apart = _sequences(chat, options.sequences, options.tokens, responses=1)
    alike = _sequences(chat, options.sequences, options.tokens, responses=8)
    work = workload("mix", Renderer(chat, 2000, 10**6), options.size).scorings
    theirs: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    remote: dict[str, Timed] = {}
    with tempfile.TemporaryDirectory(prefix="tr-wires-") as scratch:
        folder = Path(scratch)
        with vllm_serve(folder, model) as url:
            if "wire" in options.parts:
                theirs = _wire(url, apart, alike, options)
            if "remote" in options.parts:
                for wire in WIRES:
                    remote[wire.replace("-", "_")] = _remote(url, wire, chat, work, options.reps)
        with Served(folder, "--engine", "vllm") as served:
            url = served.ready(400)
            if "wire" in options.parts:
                ours = _wire(url, apart, alike, options)
            if "remote" in options.parts:
                remote["own"] = _remote(url, "vllm-generate", chat, work, options.reps)
    figures: dict[str, Any] = {}
    if theirs:
        figures |= _compared(ours, theirs)
    if remote:
        local_seconds, local_rows = _local(model, work, options.reps)
        for name, (seconds, rows) in remote.items():
            figures[f"remote_{name}_vs_local"] = local_seconds / seconds
            figures[f"remote_{name}_mean_abs"] = float(np.abs(rows - local_rows).mean())
        figures["remote_vs_local"] = figures["remote_vllm_generate_vs_local"]
    table("wires", figures.items())
    print(write("wires", figures))
    return 0


def _compared(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """The figures of the first part."""
    gap = np.abs(ours["rows"] - theirs["rows"])
    figures = {}
    for name in ("apart", "alike", "again"):
        figures |= {f"vllm_{name}_seconds": theirs[name], f"ours_{name}_seconds": ours[name]}
    return figures | {
        "wire_vs_vllm": ours["apart"] / theirs["apart"],
        "wire_vs_vllm_repeated_prefixes": ours["alike"] / theirs["alike"],
        "wire_vs_vllm_same_request": ours["again"] / theirs["again"],
        "wire_mean_abs": float(gap.mean()),
        "wire_max_abs": float(gap.max()),
    }


def _sequences(chat: ChatFormat, count: int, tokens: int, responses: int) -> list[list[int]]:
    """Sequences of random words; every `responses` of them share their first three quarters."""
    dice = random.Random(responses)
    found = []
    for _ in range(count // responses):
        (stem,) = chat.tokenizer.encode([words(dice, 2 * tokens)])
        for _ in range(responses):
            (rest,) = chat.tokenizer.encode([words(dice, tokens)])
            found.append([*stem[: tokens * 3 // 4], *rest][:tokens])
    return found


def _wire(url: str, apart: list[list[int]], alike: list[list[int]], options: Any) -> dict[str, Any]:
    """Seconds for each set of sequences, and the log-probs of the first set."""
    http = httpx2.Client(base_url=url, timeout=1200, trust_env=False)
    model = http.get("/v1/models").json()["data"][0]["id"]

    def ask(prompt: list[list[int]]) -> tuple[float, Any]:
        body = {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 1.0, "prompt_logprobs": options.top}
        started = time.perf_counter()
        answer = http.post("/v1/completions", json=body)
        seconds = time.perf_counter() - started
        assert answer.status_code == 200, answer.text[:500]
        return seconds, answer.json()["choices"]

    ask([ids[:64] for ids in apart[:4]])  # what is allocated on first use is not timed
    first, choices = ask(apart)
    alike_seconds, _ = ask(alike)
    again, _ = ask(apart)
    rows = [
        row[str(token)]["logprob"]
        for choice, ids in zip(choices, apart, strict=True)
        for row, token in zip(choice["prompt_logprobs"][1:], ids[1:], strict=True)
    ]
    say(f"{url}: {first:.1f} s, {alike_seconds:.1f} s with shared prompts, {again:.1f} s again")
    return {"apart": first, "alike": alike_seconds, "again": again, "rows": np.array(rows)}


def _remote(url: str, wire: WireName, chat: ChatFormat, work: Sequence[Scoring], reps: int) -> Timed:
    engine = RemoteEngine(RemoteSettings((url,), wire), chat, 49152)
    try:
        return _timed(engine, work, reps)
    finally:
        engine.close()


def _local(model: Path, work: Sequence[Scoring], reps: int) -> Timed:
    from tokenreward_workers.engines.vllm.engine import VllmEngine
    from tokenreward_workers.engines.vllm.settings import VllmSettings

    engine = VllmEngine(model, VllmSettings(max_tokens=2047))
    try:
        return _timed(engine, work, reps)
    finally:
        engine.close()


def _timed(engine: Engine, work: Sequence[Scoring], reps: int) -> Timed:
    """Median seconds, and the log-probs of the last repetition."""
    score_all(engine, work[:2])
    times = []
    for number in range(reps):
        # Other ids at the front, so that nothing is known from the repetition before.
        fresh = [Scoring((100 + number, *s.prefix), s.branches, s.response) for s in work]
        started = time.perf_counter()
        outcomes = score_all(engine, fresh)
        times.append(time.perf_counter() - started)
    rows = [row.logprobs for outcome in outcomes if isinstance(outcome, dict) for row in outcome.values()]
    say(f"{type(engine).__name__}: {', '.join(f'{seconds:.1f} s' for seconds in times)}")
    return statistics.median(times), np.concatenate(rows)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
