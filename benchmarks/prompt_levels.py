"""How often a model is right on each level of the generated prompts: what the levels of a recipe are chosen by.

    python benchmarks/prompt_levels.py [--model DIRECTORY] [--per-level 16] [--engine vllm] [FAMILY[:LEVEL] ...]

Samples five responses to each prompt with the paper's settings and checks them. Writes build/prompt-levels.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks._report import table, write
from tokenreward_trainer.prompts import FAMILIES, parts_of, write_prompts
from tokenreward_trainer.sampling.sample_file import sample_file
from tokenreward_trainer.sampling.settings import Sampling
from tokenreward_trainer.scorers.verify import verified
from tokenreward_workers.model_files.resolve import resolve_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=list(FAMILIES), metavar="FAMILY[:LEVEL]")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--per-level", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--engine", default="transformers", choices=["transformers", "vllm"])
    options = parser.parse_args()
    parts = parts_of(options.sets)
    settings = Sampling(engine=options.engine, max_tokens=options.max_tokens)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        prompts, out = Path(folder) / "prompts.jsonl", Path(folder) / "samples.jsonl"
        write_prompts(prompts, parts, options.per_level * len(parts))
        sample_file(prompts, out, str(resolve_model(options.model).path), settings, progress=True)
        rows = [json.loads(line) for line in out.read_bytes().splitlines()]
    seconds = time.monotonic() - started
    right: dict[str, list[bool]] = defaultdict(list)
    paired: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        name = f"{row['family']}:{row['level']}"
        scores = [verified(response["text"], row["check"], name) for response in row["responses"]]
        right[name] += [score == 1 for score in scores]
        paired[name].append(len(set(scores)) > 1)
    shares = {name: round(sum(found) / len(found), 3) for name, found in sorted(right.items())}
    pairs = {name: round(sum(found) / len(found), 3) for name, found in sorted(paired.items())}
    table("right, and groups with a difference", [(name, f"{shares[name]:.2f}   {pairs[name]:.2f}") for name in shares])
    tokens = sum(len(response["token_ids"]) for row in rows for response in row["responses"])
    cut_off = sum(not response["finished"] for row in rows for response in row["responses"])
    figures = {"right": shares, "groups_with_a_difference": pairs, "prompts_per_level": options.per_level}
    figures |= {"seconds": round(seconds, 1), "response_tokens": tokens, "cut_off": cut_off}
    table("prompt-levels", [(name, figures[name]) for name in ("seconds", "response_tokens", "cut_off")])
    write("prompt-levels", figures)


if __name__ == "__main__":
    main()
