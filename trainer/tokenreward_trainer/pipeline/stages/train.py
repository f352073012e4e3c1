"""The stage that trains: `tokenreward train` on the labeled pairs, from its last whole checkpoint if it was killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput
from tokenreward_trainer.resumable.hashes import model_hash
from tokenreward_trainer.training.checkpoints import last_checkpoint, remove_checkpoints

#: Five checkpoints over the run, of which the last is kept: a killed run loses at most a fifth.
_CHECKPOINTS = {"save_strategy": "steps", "save_steps": 0.2, "save_total_limit": 1}


def options(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a training depends on: its models by content, its data's limits, its options.

    Args:
        recipe: The whole recipe.
        changes: Options of [train] that this training has other than the recipe.
    """
    return {
        "model": model_hash(recipe.model.name),
        "reference": model_hash(recipe.model.reference) if recipe.model.reference else None,
        "load": recipe.model.model_dump(include={"dtype", "attention"}) | _packed_weights(recipe),
        "data": recipe.data.model_dump(),
        "lora": recipe.lora.model_dump(),
        "train": recipe.train | dict(changes),
        "examples": recipe.report.examples,
    }


def _packed_weights(recipe: Recipe) -> dict[str, Any]:
    """Nothing for a model without quantisation, as in runs of versions that knew none."""
    return {} if recipe.model.quantization is None else {"quantization": recipe.model.quantization}


def run(given: StageInput, changes: Mapping[str, Any]) -> StageOutput:
    """Leaves the trained model and its record in model/.

    Args:
        given: The stage's input.
        changes: See `options`.
    """
    from tokenreward_trainer.training.run import train_run
    from tokenreward_trainer.training.settings import run_of

    recipe, out = given.recipe, given.folder / "model"
    checkpoint = last_checkpoint(out)
    content = {
        "model": recipe.model.model_dump(),
        "data": recipe.data.model_dump() | {"train": str(given.inputs["label"] / "labeled.jsonl")},
        "lora": recipe.lora.model_dump(),
        "report": {"baseline": False, "examples": recipe.report.examples},
        "train": _CHECKPOINTS
        | recipe.train
        | dict(changes)
        | {"output_dir": str(out), "disable_tqdm": True}
        | ({"resume_from_checkpoint": str(checkpoint)} if checkpoint is not None else {}),
    }
    train_run(run_of(content))
    remove_checkpoints(out)
    record = json.loads((out / "run.json").read_bytes())
    weights = sorted(path.name for pattern in ("*.safetensors", "*.bin") for path in out.glob(pattern))
    outputs = [f"model/{name}" for name in ("run.json", *(w for w in weights if w != "training_args.bin"))]
    return StageOutput(outputs, f"{record['name']} on {record['pairs']} pairs in {record['seconds']:.0f} s")
