"""Part `training` of `make gpu`: this project's trainer beside TRL's DPO, seconds a step and peak memory.

At 1.5 billion weights all of them are trained, with the reference's log-probs computed beforehand; at Llama-3-8B's
shape a LoRA adapter is, with gradient checkpointing and the reference computed in every step, as TRL does by default.
Each run is a process of its own (`benchmarks/training.py --child`), on weights drawn on the card; toys share one.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_child import Job, read_job, tell

WAYS = ("trl", "ours", "ours-one-pass")
STEPS = 6


def main() -> None:
    """Measure each shape in each way."""
    job, options = read_job(__doc__)
    plans = {
        "1b": ["--reference", "precompute"],
        "8b": ["--reference", "live", "--lora", "--checkpointing"],
    }
    for name in [options.step] if options.step else plans:
        key = {"1b": "1b_full", "8b": "8b_lora"}[name]
        found: dict[str, dict[str, Any]] = {}
        for ways in [WAYS[:2]] if job.tiny else [(way,) for way in WAYS]:
            found |= _run(job, name, ways, plans[name])
            for way in ways:
                _tell(key, way, found)


def _tell(key: str, way: str, found: dict[str, dict[str, Any]]) -> None:
    tell(train_step_s={key: {way: found[way]["step_s"]}}, train_peak_gb={key: {way: found[way]["peak_gb"]}})
    if way != "trl":
        suffix = "" if way == "ours" else "_one_pass"
        step, peak = (found[way][what] / found["trl"][what] for what in ("step_s", "peak_gb"))
        tell(train_step_vs_trl={key + suffix: round(step, 3)})
        tell(train_memory_vs_trl={key + suffix: round(peak, 3)})


def _run(job: Job, model: str, ways: Sequence[str], more: list[str]) -> dict[str, dict[str, Any]]:
    """Return the figures of each way, all measured in one process."""
    command = [sys.executable, str(Path(__file__).with_name("training.py")), "--child", *ways, "--random-weights"]
    command += ["--model", str(_directory(job, model)), "--dtype", "float32" if job.tiny else "bfloat16"]
    command += ["--steps", "1" if job.tiny else str(STEPS), "--threads", str(min(8, os.cpu_count() or 1)), *more]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    if ran.returncode != 0:
        raise SystemExit(f"{', '.join(ways)} on {model} ended with {ran.returncode}:\n{ran.stderr[-3000:]}")
    found: dict[str, dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return {way: of | {"step_s": round(statistics.median(of["step_s"]), 4)} for way, of in found.items()}


def _directory(job: Job, model: str) -> Path:
    """Return the model's directory; of a toy, a copy with a small vocabulary, whose logits take no time."""
    if not job.tiny:
        return job.model(model)
    path = job.folder / f"{model}-training"
    if not path.exists():
        shutil.copytree(job.model(model), path)
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(config | {"vocab_size": 1024}))
    return path


if __name__ == "__main__":
    main()
