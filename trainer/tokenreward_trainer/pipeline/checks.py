"""What can be known of a recipe before anything is done: that its files, its models and its names are there."""

from __future__ import annotations

from pathlib import Path

from tokenreward.errors import BadInput
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.prompts import parts_of
from tokenreward_trainer.scorers import scorer_of
from tokenreward_trainer.training.run_checks import check_model_name


def check_recipe(recipe: Recipe) -> None:
    """Checks what a recipe names.

    Args:
        recipe: The recipe.

    Raises:
        BadInput: A file or a model is missing, or there is no scorer or family of prompts of that name.
    """
    check_model_name("model.name", recipe.model.name)
    if recipe.model.reference is not None:
        check_model_name("model.reference", recipe.model.reference)
    named = (("prompts.file", recipe.prompts.file), ("sft.file", recipe.sft.file), ("rank.extra", recipe.rank.extra))
    for option, file in named:
        if file is not None and not Path(file).is_file():
            raise BadInput(f"{option}: {file}: no such file")
    if recipe.prompts.sets:
        parts_of(recipe.prompts.sets)
    name, _, rest = recipe.rank.scorer.partition(":")
    if name == "reward_model":
        check_model_name("rank.scorer", rest)
    else:
        scorer_of(recipe.rank.scorer)
