"""The stages of the loop in order, and which files of which stage each of them reads.

With `[sft] file` the policy is first trained on conversations. Each round samples, ranks, labels and trains, and its
policy is what the training before it has left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenreward_trainer.pipeline.policy import POLICY, policy_of
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.round_names import named
from tokenreward_trainer.pipeline.stage import Source, Stage, StageInput, StageOutput
from tokenreward_trainer.pipeline.stages import label, prompts, rank, report, rto, sample, sft, train
from tokenreward_trainer.training.settings import WITHOUT_REGULARIZER

Options = Callable[[Recipe], dict[str, Any]]
Run = Callable[[StageInput], StageOutput]

_LABELED = ("labeled.jsonl", "labeled.jsonl.meta.json")


def stages_of(recipe: Recipe) -> list[Stage]:
    """Returns the stages of a recipe; with report.baseline the last round trains once more."""
    found = [Stage("prompts", {}, prompts.options, prompts.run)]
    trained: str | None = None
    if recipe.sft.file is not None:
        found.append(Stage("sft", {}, sft.options, sft.run))
        trained = "sft"
    for number in range(1, recipe.run.rounds + 1):
        found += _round(recipe, number, trained)
        trained = named("train", number)
    return [*found, _report(recipe, found)]


def _round(recipe: Recipe, number: int, trained: str | None) -> list[Stage]:
    """The stages of a round whose policy is the recipe's model, or what the stage `trained` has left."""
    policy = {} if trained is None else {"policy": Source(trained, (POLICY,))}
    last = number == recipe.run.rounds
    # An adapter is merged for a later round only: that costs the size of the model.
    leaves = not last or not recipe.lora.r

    def source(stage: str, *files: str) -> Source:
        return Source(named(stage, number), files)

    def identity(recipe: Recipe) -> str:
        return policy_of(recipe) if trained is None else trained  # its content is an input

    def stage(name: str, inputs: dict[str, Source], options: Options, run: Run, version: int = 1) -> Stage:
        return Stage(named(name, number), inputs | policy, options, run, version)

    def training(name: str, **changes: Any) -> Stage:
        if recipe.train.get("push_to_hub") and (name, number) != ("train", recipe.run.rounds):
            changes["push_to_hub"] = False  # The repository is for the model that the run is about.
        return stage(
            name,
            {"label": source("label", *_LABELED)},
            lambda recipe: train.options(recipe, changes, identity(recipe), leaves_policy=leaves),
            lambda given: train.run(given, changes, leaves_policy=leaves),
            version=2,
        )

    # The same training without the regulariser, for comparison.
    plain = [training("baseline", **WITHOUT_REGULARIZER)] if recipe.report.baseline and last else []
    prompted = {"prompts": Source("prompts", ("prompts.jsonl",))}
    return [
        stage("sample", prompted, lambda recipe: sample.options(recipe, identity(recipe)), sample.run, version=2),
        stage("rank", {"sample": source("sample", "samples.jsonl")}, rank.options, rank.run),
        stage(
            "label",
            {"rank": source("rank", "pairs.jsonl")},
            lambda recipe: label.options(recipe, identity(recipe)),
            label.run,
        ),
        *plain,
        training("train"),
        *(
            [
                stage(
                    "rto",
                    prompted | {"train": source("train", "model/run.json")},
                    lambda recipe: rto.options(recipe, identity(recipe)),
                    rto.run,
                )
            ]
            if recipe.rto is not None and last
            else []
        ),
    ]


def _report(recipe: Recipe, stages: list[Stage]) -> Stage:
    """The last stage; it reads something of every other one."""
    read: dict[str, tuple[str, ...]] = {
        "prompts": (),
        "sft": ("model/run.json",),
        "sample": ("samples.jsonl",),
        "rank": ("pairs.scores.jsonl",),
        "label": _LABELED,
        "baseline": ("model/run.json",),
        "train": ("model/run.json",),
        "rto": ("model/run.json",),
    }
    shown = {stage.name: Source(stage.name, read[stage.name.partition("-")[0]]) for stage in stages}
    return Stage("report", shown, report.options, report.run)
