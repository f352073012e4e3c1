"""The plain ways to score contrast pairs: what a user would write instead of this project.

    python benchmarks/plain.py --engine vllm --model DIR --work work.jsonl [--out logps.jsonl] [--dtype bfloat16]
    python benchmarks/plain.py --engine hf   --model DIR --work work.jsonl [--out logps.jsonl] [--batch 8]

work.jsonl, one response a line, token ids only, so that every engine does the same work (`labeling.py --export`
writes such files):
    {"better": [ids of the whole better prompt], "worse": [ids of the whole worse prompt], "response": [ids]}
Each row costs two full prompts + response. Loading and a warm-up on the first rows are not timed.
Prints one JSON line: rows, response_tokens, seconds, response_tokens_per_s.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, list[int]]
Score = Callable[[list[Row]], Iterator[dict[str, list[float]]]]
SIDES = ("better", "worse")


def read(path: str) -> list[Row]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines() if line.strip()]


def with_vllm(model: str, dtype: str = "bfloat16", max_len: int = 4096, eager: bool = False) -> Score:
    """vLLM as its docs show it: prompt_logprobs=1, dict output, default settings."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from vllm import LLM, SamplingParams

    llm = LLM(model, dtype=dtype, max_model_len=max_len, enforce_eager=eager)
    params = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=1)

    def score(rows: list[Row]) -> Iterator[dict[str, list[float]]]:
        prompts = [{"prompt_token_ids": row[side] + row["response"]} for row in rows for side in SIDES]
        outputs = iter(llm.generate(prompts, params, use_tqdm=False))
        for row in rows:
            result = {}
            for side in SIDES:
                out, start = next(outputs), len(row[side])
                result[side] = [out.prompt_logprobs[start + t][tok].logprob for t, tok in enumerate(row["response"])]
            yield result

    return score


def with_hf(model: str, dtype: str = "bfloat16", batch: int = 8) -> Score:
    """transformers: right-padded batches, full logits, log_softmax, gather."""
    import torch
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype)).eval().to(device)

    @torch.inference_mode()
    def forward(sequences: list[list[int]], starts: list[int]) -> list[list[float]]:
        ids = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, sequence in enumerate(sequences):
            ids[i, : len(sequence)] = torch.tensor(sequence)
            mask[i, : len(sequence)] = 1
        ids, mask = ids.to(device), mask.to(device)
        logps = torch.log_softmax(network(input_ids=ids, attention_mask=mask).logits.float(), -1)
        picked = logps[:, :-1].gather(-1, ids[:, 1:, None])[..., 0].cpu()
        return [picked[i, starts[i] - 1 : len(sequence) - 1].tolist() for i, sequence in enumerate(sequences)]

    def score(rows: list[Row]) -> Iterator[dict[str, list[float]]]:
        flat = [(row[side] + row["response"], len(row[side])) for row in rows for side in SIDES]
        scored: list[list[float]] = []
        for i in range(0, len(flat), batch):
            scored += forward([ids for ids, _ in flat[i : i + batch]], [start for _, start in flat[i : i + batch]])
        for i in range(len(rows)):
            yield {"better": scored[2 * i], "worse": scored[2 * i + 1]}

    return score


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cli.add_argument("--engine", choices=["vllm", "hf"], required=True)
    cli.add_argument("--model", required=True)
    cli.add_argument("--work", required=True)
    cli.add_argument("--out")
    cli.add_argument("--dtype", default="bfloat16")
    cli.add_argument("--batch", type=int, default=8)
    cli.add_argument("--max-len", type=int, default=4096)
    cli.add_argument("--eager", action="store_true", help="skip torch.compile (vLLM compiles by default)")
    args = cli.parse_args()

    rows = read(args.work)
    score: Any = (
        with_vllm(args.model, args.dtype, args.max_len, args.eager)
        if args.engine == "vllm"
        else with_hf(args.model, args.dtype, args.batch)
    )
    list(score(rows[:2]))  # warm-up
    start = time.perf_counter()
    results = list(score(rows))
    seconds = time.perf_counter() - start
    if args.out:
        Path(args.out).write_text("".join(json.dumps(result) + "\n" for result in results), "utf-8")
    tokens = sum(len(row["response"]) for row in rows)
    rate = round(tokens / seconds, 1)
    print(
        json.dumps(
            {
                "engine": args.engine,
                "rows": len(rows),
                "response_tokens": tokens,
                "seconds": round(seconds, 3),
                "response_tokens_per_s": rate,
            }
        )
    )


if __name__ == "__main__":
    main()
