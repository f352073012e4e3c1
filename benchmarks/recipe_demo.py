"""`make recipe-demo`: the whole loop on 20 generated prompts with the demo model, by `tokenreward run`.

    python benchmarks/recipe_demo.py [--model DIRECTORY] [--prompts N] [--section.key value ...]

Leaves the run and its report in build/recipe-demo, and figures in build/recipe-demo.json. A run that stands there
already is removed first, so that the seconds are those of the whole loop; --resume keeps it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._report import ROOT, table, write
from tokenreward import cli
from tokenreward_workers.model_files.resolve import resolve_model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="a model directory, sampled, served for labeling, and trained")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "recipe-demo")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--resume", action="store_true", help="go on with a run that stands in --out")
    options, overrides = parser.parse_known_args()
    if not options.resume:
        shutil.rmtree(options.out, ignore_errors=True)
    started = time.monotonic()
    settings = {
        "model.name": resolve_model(options.model).path,
        "run.directory": options.out,
        "prompts.count": options.prompts,
    }
    arguments = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    status = cli.main(["run", "demo", *arguments, *overrides])
    if status == 0:
        figures = {"seconds": round(time.monotonic() - started, 1), "items": options.prompts} | _shown(options.out)
        table("recipe-demo", figures.items())
        write("recipe-demo", figures)
    return status


def _shown(out: Path) -> dict[str, Any]:
    """What came of each stage, how often the model was right, and what training did to held-out pairs."""
    stages = {stage["stage"]: stage for stage in json.loads((out / "run.json").read_bytes())["stages"]}
    figures: dict[str, Any] = {f"{name}_seconds": stage["seconds"] for name, stage in stages.items()}
    sampled = _rows(out / stages["sample"]["folder"] / "samples.jsonl")
    responses = [response for row in sampled for response in row["responses"]]
    figures["responses"] = len(responses)
    figures["response_tokens"] = sum(len(response["token_ids"]) for response in responses)
    figures["finished_share"] = round(sum(response["finished"] for response in responses) / len(responses), 3)
    figures["right_share"] = round(_right(sampled), 3)
    figures["pairs"] = len(_rows(out / stages["rank"]["folder"] / "pairs.jsonl"))
    for name in ("baseline", "train"):
        if name not in stages:
            continue
        log = json.loads((out / stages[name]["folder"] / "model" / "run.json").read_bytes())["log"]
        logged = {key: value for entry in log for key, value in entry.items()}
        for metric in ("rewards/accuracies", "rewards/margins", "token_rewards/correlation"):
            figures[f"{name}_{metric.replace('/', '_')}"] = logged.get(f"eval_{metric}")
    return figures


def _right(sampled: list[dict[str, Any]]) -> float:
    """The share of responses that pass their prompt's check, repeated ones counted each time."""
    from tokenreward_trainer.scorers.verify import verified

    scores = [verified(r["text"], row["check"], str(row["id"])) for row in sampled for r in row["responses"]]
    return sum(score == 1 for score in scores) / len(scores)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
