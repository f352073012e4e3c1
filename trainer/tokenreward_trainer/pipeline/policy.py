"""The policy that one stage hands to those after it: where the trained model stands, and the hash of its weights."""

from __future__ import annotations

import json
from pathlib import Path

from tokenreward.dataset.atomic import replace
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.resumable.hashes import model_hash

#: The file that says it, in the folder of the stage that has trained.
POLICY = "policy.json"


def policy_of(recipe: Recipe) -> str:
    """Returns what the outputs of a stage depend on where the policy is the recipe's own model."""
    return model_hash(recipe.model.name)


def with_policy(recipe: Recipe, folder: Path) -> Recipe:
    """Returns the recipe with the model that a stage has trained, in whose folder `leave_policy` was called."""
    name = str(folder / json.loads((folder / POLICY).read_bytes())["folder"])
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"name": name})})


def leave_policy(folder: Path, recipe: Recipe) -> list[str]:
    """Makes the model in `folder/model` one that later stages can sample from, serve and train.

    An adapter is merged into the model that it is of, into `folder/merged`.

    Args:
        folder: The folder of the stage that has trained.
        recipe: With the model that was trained.

    Returns:
        The files that it adds to the stage's.
    """
    name = "merged" if recipe.lora.r else "model"
    if recipe.lora.r:
        _merge(folder / "model", folder / name, recipe)
    with replace(folder / POLICY) as file:
        file.write(json.dumps({"folder": name, "hash": model_hash(str(folder / name))}).encode())
    return [POLICY, *weights_in(folder, "merged")]


def weights_in(folder: Path, name: str) -> list[str]:
    """Returns the files with weights in a folder of a stage, relative to the stage's."""
    found = sorted(path.name for pattern in ("*.safetensors", "*.bin") for path in (folder / name).glob(pattern))
    return [f"{name}/{file}" for file in found if file != "training_args.bin"]


def _merge(adapter: Path, merged: Path, recipe: Recipe) -> None:
    from tokenreward_trainer.training.model_loading import load_adapted, load_tokenizer

    whole = recipe.model.model_copy(update={"quantization": None})  # Merged into packed weights, it would be rounded.
    model, _ = load_adapted(str(adapter), recipe.model.name, whole)
    model.merge_and_unload().save_pretrained(merged)
    load_tokenizer(recipe.model.name).save_pretrained(merged)
