"""The stages of the loop in order, and which files of which stage each of them reads."""

from __future__ import annotations

from typing import Any

from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import Stage
from tokenreward_trainer.pipeline.stages import label, prompts, rank, report, sample, train
from tokenreward_trainer.training.settings import WITHOUT_REGULARIZER


def stages_of(recipe: Recipe) -> list[Stage]:
    """Returns the stages of a recipe; with report.baseline there is one more that trains."""
    labeled = {"label": ["labeled.jsonl", "labeled.jsonl.meta.json"]}

    def training(name: str, **changes: Any) -> Stage:
        return Stage(
            name, labeled, lambda recipe: train.options(recipe, changes), lambda given: train.run(given, changes)
        )

    # The same training without the regulariser, for comparison.
    plain = [training("baseline", **WITHOUT_REGULARIZER)] if recipe.report.baseline else []
    trainings = [*plain, training("train")]
    samples, pairs = {"sample": ["samples.jsonl"]}, {"rank": ["pairs.jsonl"]}
    shown = {"prompts": [], "sample": ["samples.jsonl"], "rank": ["pairs.scores.jsonl"], **labeled}
    shown |= {stage.name: ["model/run.json"] for stage in trainings}
    return [
        Stage("prompts", {}, prompts.options, prompts.run),
        Stage("sample", {"prompts": ["prompts.jsonl"]}, sample.options, sample.run),
        Stage("rank", samples, rank.options, rank.run),
        Stage("label", pairs, label.options, label.run),
        *trainings,
        Stage("report", shown, report.options, report.run),
    ]
