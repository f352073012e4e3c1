"""The stage that trains: `tokenreward train` on the labeled pairs, from its last whole checkpoint if it was killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokenreward_trainer.pipeline.policy import leave_policy, weights_in
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput
from tokenreward_trainer.resumable.hashes import model_hash
from tokenreward_trainer.training.checkpoints import last_checkpoint, remove_checkpoints

#: Five checkpoints over the run, of which the last is kept: a killed run loses at most a fifth.
_CHECKPOINTS = {"save_strategy": "steps", "save_steps": 0.2, "save_total_limit": 1}


def options(recipe: Recipe, changes: Mapping[str, Any], policy: str, *, leaves_policy: bool) -> dict[str, Any]:
    """Returns what a training depends on: its models by content, its data's limits, its options.

    Args:
        recipe: The whole recipe.
        changes: Options of [train] that this training has other than the recipe.
        policy: What identifies the policy.
        leaves_policy: Whether the model is left as one that later stages can use.
    """
    return {
        "model": policy,
        "reference": model_hash(recipe.model.reference) if recipe.model.reference else None,
        "load": recipe.model.model_dump(include={"dtype", "attention"}) | packed_weights(recipe),
        "data": recipe.data.model_dump(),
        "lora": recipe.lora.model_dump(),
        "train": recipe.train | dict(changes),
        "examples": recipe.report.examples,
        "leaves_policy": leaves_policy,
    }


def packed_weights(recipe: Recipe) -> dict[str, Any]:
    """Nothing for a model without quantisation, as in runs of versions that knew none."""
    return {} if recipe.model.quantization is None else {"quantization": recipe.model.quantization}


def run(given: StageInput, changes: Mapping[str, Any], *, leaves_policy: bool = False) -> StageOutput:
    """Leaves the trained model and its record in model/.

    Args:
        given: The stage's input.
        changes: See `options`.
        leaves_policy: See `options`.
    """
    data = given.recipe.data.model_dump() | {"train": str(given.inputs["label"] / "labeled.jsonl")}
    return trained(given, data, given.recipe.train | dict(changes), leaves_policy=leaves_policy)


def trained(
    given: StageInput, data: Mapping[str, Any], options: Mapping[str, Any], *, leaves_policy: bool
) -> StageOutput:
    """Trains the recipe's model.

    Args:
        given: The stage's input.
        data: The [data] section of the training.
        options: Its [train] section.
        leaves_policy: See `options`.
    """
    from tokenreward_trainer.losses import METHODS
    from tokenreward_trainer.training.run import train_run
    from tokenreward_trainer.training.settings import run_of

    recipe, out = given.recipe, given.folder / "model"
    checkpoint = last_checkpoint(out)
    content = {
        "model": recipe.model.model_dump(),
        "data": dict(data),
        "lora": recipe.lora.model_dump(),
        "report": {"baseline": False, "examples": recipe.report.examples},
        "train": _CHECKPOINTS
        | dict(options)
        | {"output_dir": str(out), "disable_tqdm": True}
        | ({"resume_from_checkpoint": str(checkpoint)} if checkpoint is not None else {}),
    }
    train_run(run_of(content))
    remove_checkpoints(out)
    record = json.loads((out / "run.json").read_bytes())
    outputs = ["model/run.json", *weights_in(given.folder, "model")]
    if leaves_policy:
        outputs += leave_policy(given.folder, recipe)
    what = "responses" if METHODS[record["options"]["method"]].single else "pairs"
    return StageOutput(outputs, f"{record['name']} on {record['pairs']} {what} in {record['seconds']:.0f} s")
