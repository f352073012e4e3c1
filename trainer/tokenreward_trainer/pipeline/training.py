"""The stage that trains: `tokenreward train` on the labeled pairs, from its last whole checkpoint if it was killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenreward_trainer.pipeline.stages import Made, Work

#: Five checkpoints over the run, of which the last is kept: a killed run loses at most a fifth.
_CHECKPOINTS = {"save_strategy": "steps", "save_steps": 0.2, "save_total_limit": 1}


def train(work: Work, changes: Mapping[str, Any]) -> Made:
    """changes: options of [train] that this training has other than the recipe."""
    from tokenreward_trainer.run import train_run
    from tokenreward_trainer.settings import run_of

    recipe, out = work.recipe, work.folder / "model"
    checkpoint = last_checkpoint(out)
    content = {
        "model": recipe.model.model_dump(),
        "data": recipe.data.model_dump() | {"train": str(work.inputs["label"] / "labeled.jsonl")},
        "lora": recipe.lora.model_dump(),
        "report": {"baseline": False, "examples": recipe.report.examples},
        "train": _CHECKPOINTS
        | recipe.train
        | dict(changes)
        | {"output_dir": str(out), "disable_tqdm": True}
        | ({"resume_from_checkpoint": str(checkpoint)} if checkpoint is not None else {}),
    }
    train_run(run_of(content))
    for left in out.glob("checkpoint-*"):
        shutil.rmtree(left)
    record = json.loads((out / "run.json").read_bytes())
    weights = sorted(path.name for pattern in ("*.safetensors", "*.bin") for path in out.glob(pattern))
    outputs = [f"model/{name}" for name in ("run.json", *(w for w in weights if w != "training_args.bin"))]
    return Made(outputs, f"{record['name']} on {record['pairs']} pairs in {record['seconds']:.0f} s")


def last_checkpoint(out: Path) -> Path | None:
    """The latest whole checkpoint; those that a kill left unfinished are removed. None if there is none.

    The Trainer writes its state into a checkpoint last.
    """
    whole = {}
    for path in out.glob("checkpoint-*"):
        try:
            whole[int(json.loads((path / "trainer_state.json").read_bytes())["global_step"])] = path
        except (OSError, ValueError, KeyError):
            shutil.rmtree(path)
    return whole[max(whole)] if whole else None
