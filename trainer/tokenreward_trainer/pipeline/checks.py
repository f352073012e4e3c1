"""What can be known of a recipe before anything is done: that its files, its models and its names are there."""

from __future__ import annotations

from pathlib import Path

from tokenreward.errors import BadInput
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stages import rto
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
    _check_scorer("rank.scorer", recipe.rank.scorer)
    if recipe.rto is not None:
        _check_scorer("rto.rewards.scorer", rto.checked(recipe).rewards.scorer)


def _check_scorer(option: str, scorer: str) -> None:
    name, _, rest = scorer.partition(":")
    if name == "reward_model":
        check_model_name(option, rest)
    else:
        scorer_of(scorer)
