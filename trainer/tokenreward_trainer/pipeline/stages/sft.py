"""The stage before the first round: SFT on conversations, so that a recipe can start from a base model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward_trainer.pipeline.policy import policy_of
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput, option_file_hash
from tokenreward_trainer.pipeline.stages import train


def options(recipe: Recipe) -> dict[str, Any]:
    """Returns the [sft] section with its file by content, and the model that is trained."""
    assert recipe.sft.file is not None
    return {
        "model": policy_of(recipe),
        "load": recipe.model.model_dump(include={"dtype", "attention"}) | train.packed_weights(recipe),
        "lora": recipe.lora.model_dump(),
        "examples": recipe.report.examples,
        **recipe.sft.model_dump(),
        "file": option_file_hash(recipe.sft.file, "sft.file"),
    }


def run(given: StageInput) -> StageOutput:
    """Leaves the trained model and its record in model/, and says where the policy of the first round is."""
    sft = given.recipe.sft
    assert sft.file is not None
    data = sft.model_dump(include={"eval_share", "max_length", "max_prompt_length"}) | {"train": str(Path(sft.file))}
    return train.trained(given, data, sft.train | {"method": "sft"}, leaves_policy=True)
