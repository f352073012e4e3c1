"""`make train-demo`: write a small preference set, label it with the embedded service, train DPO and DPO-REG on it.

    python benchmarks/train_demo.py [--model DIRECTORY] [--section.key value ...]

The labels come from the model that is then trained, as in the paper, through `tokenreward serve`, `label` and `train`
as anyone would run them. Leaves a report in build/train-demo, and figures in build/train-demo.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._report import ROOT, table, write
from tokenreward import cli
from tokenreward.cpu_share import share_cpus
from tokenreward.embedded_service import embedded_service
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_workers.model_files.resolve import resolve_model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="a model directory, served for labeling and then trained")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "train-demo")
    parser.add_argument("--pairs", type=int, default=40)
    options, overrides = parser.parse_known_args()
    started = time.monotonic()
    share_cpus()
    model = str(resolve_model(options.model).path)
    pairs, labeled = options.out / "pairs.jsonl", options.out / "labeled.jsonl"
    write_pairs(pairs, options.pairs)
    with embedded_service(["--model", model]) as url:
        status = cli.main(["label", str(pairs), "--out", str(labeled), "--url", url])
    settings = {"model.name": model, "data.train": labeled, "train.output_dir": options.out}
    arguments = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    status = status or cli.main(["train", "demo", *arguments, *overrides])
    if status == 0:
        figures = {"seconds": round(time.monotonic() - started, 1), "items": 2 * options.pairs} | _learned(options.out)
        table("train-demo", figures.items())
        write("train-demo", figures)
        print(f"The report: {options.out / 'report.html'}")
    return status


def _learned(out: Path) -> dict[str, Any]:
    """Of the held-out pairs, by both runs."""
    figures: dict[str, Any] = {}
    for name, directory in (("dpo", out / "baseline"), ("dpo_reg", out)):
        log = json.loads((directory / "run.json").read_text("utf-8"))["log"]
        logged = {key: value for entry in log for key, value in entry.items()}
        for metric in ("rewards/accuracies", "rewards/margins", "token_rewards/correlation"):
            figures[f"{name}_{metric.replace('/', '_')}"] = logged.get(f"eval_{metric}")
    return figures


if __name__ == "__main__":
    sys.exit(main())
