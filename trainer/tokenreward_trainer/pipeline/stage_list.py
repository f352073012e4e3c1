"""TODO: what this module owns."""

from __future__ import annotations

from typing import Any

from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import Stage
from tokenreward_trainer.pipeline.stages.label import _label, _label_options
from tokenreward_trainer.pipeline.stages.prompts import _prompt_options, _prompts
from tokenreward_trainer.pipeline.stages.rank import _rank, _rank_options
from tokenreward_trainer.pipeline.stages.sample import _sample, _sample_options
from tokenreward_trainer.pipeline.stages.train import _train_options


def stages_of(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe, in order."""
    from tokenreward_trainer.pipeline.stages.report import write_page
    from tokenreward_trainer.pipeline.stages.train import train

    labeled = {"label": ["labeled.jsonl", "labeled.jsonl.meta.json"]}

    def trained(name: str, **changes: Any) -> Stage:
        return Stage(name, labeled, lambda recipe: _train_options(recipe, changes), lambda work: train(work, changes))

    # The same training without the regulariser, for comparison.
    plain = [trained("baseline", reg_alpha=0.0, weighting="dynamic")] if recipe.report.baseline else []
    trainings = [*plain, trained("train")]
    samples, pairs = {"sample": ["samples.jsonl"]}, {"rank": ["pairs.jsonl"]}
    shown = {"prompts": [], "sample": ["samples.jsonl"], "rank": ["pairs.scores.jsonl"], **labeled}
    shown |= {stage.name: ["model/run.json"] for stage in trainings}
    return [
        Stage("prompts", {}, _prompt_options, _prompts),
        Stage("sample", {"prompts": ["prompts.jsonl"]}, _sample_options, _sample),
        Stage("rank", samples, _rank_options, _rank),
        Stage("label", pairs, _label_options, _label),
        *trainings,
        Stage("report", shown, lambda recipe: recipe.report.model_dump(), write_page),
    ]
