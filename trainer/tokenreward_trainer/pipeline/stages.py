"""What each stage of the loop does: its options, its inputs, its files.

A stage is called with an empty folder or with what a killed run left there, and goes on from that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenreward.dataset import label_dataset, read_meta
from tokenreward.dataset.files import replace
from tokenreward.dataset.jsonl import json_line
from tokenreward.errors import BadInput, TokenRewardError
from tokenreward_trainer.content import file_hash, model_hash
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.prompts import parts_of, write_prompts
from tokenreward_trainer.ranking.choice import Ranking
from tokenreward_trainer.scorers import identity_of
from tokenreward_trainer.segments import read_rows


@dataclass(frozen=True)
class Work:
    """What a stage is called with. inputs: the folders of the stages before it, by name."""

    recipe: Recipe
    folder: Path
    inputs: Mapping[str, Path]
    progress: bool


@dataclass(frozen=True)
class Made:
    """outputs: the files, relative to the folder, that later stages read.  summary: for people."""

    outputs: list[str]
    summary: str


@dataclass(frozen=True)
class Stage:
    """inputs: stage -> the files of it that are read.  options: all else that the outputs depend on.

    version: bumped when the code changes them.
    """

    name: str
    inputs: Mapping[str, Sequence[str]]
    options: Callable[[Recipe], dict[str, Any]]
    run: Callable[[Work], Made]
    version: int = 1


def stages_of(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe, in order."""
    from tokenreward_trainer.pipeline.report import write_page
    from tokenreward_trainer.pipeline.training import train

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


def _prompt_options(recipe: Recipe) -> dict[str, Any]:
    options = recipe.prompts.model_dump()
    if recipe.prompts.file is not None:
        options["file"] = _file(recipe.prompts.file, "prompts.file")
    return options


def _prompts(work: Work) -> Made:
    wanted, out = work.recipe.prompts, work.folder / "prompts.jsonl"
    if wanted.file is None:
        write_prompts(out, parts_of(wanted.sets), wanted.count or 0, wanted.seed)
    else:
        with replace(out) as file:
            file.writelines(map(json_line, read_rows(Path(wanted.file))[: wanted.count]))
    return Made([out.name], f"{len(read_rows(out))} prompts")


def _sample_options(recipe: Recipe) -> dict[str, Any]:
    return recipe.sample.model_dump(exclude={"gpu_memory"}) | {"model": model_hash(recipe.model.name)}


def _sample(work: Work) -> Made:
    from tokenreward_trainer.sampling import sample_file

    prompts, out = work.inputs["prompts"] / "prompts.jsonl", work.folder / "samples.jsonl"
    done = sample_file(prompts, out, work.recipe.model.name, work.recipe.sample, progress=work.progress)
    return Made(_with_meta(out), f"{done.counts.responses} responses, {done.counts.tokens} tokens")


def _rank_options(recipe: Recipe) -> dict[str, Any]:
    options = recipe.rank.model_dump()
    if recipe.rank.extra is not None:
        options["extra"] = _file(recipe.rank.extra, "rank.extra")
    return options | {"scorer": identity_of(recipe.rank.scorer)}


def _rank(work: Work) -> Made:
    from tokenreward_trainer.ranking import rank_file
    from tokenreward_trainer.ranking.run import scores_path

    rank, out = work.recipe.rank, work.folder / "pairs.jsonl"
    done = rank_file(
        work.inputs["sample"] / "samples.jsonl",
        out,
        rank.scorer,
        Ranking(**rank.model_dump(include=set(Ranking.model_fields))),
        extra=Path(rank.extra) if rank.extra is not None else None,
        model=work.recipe.model.name,
        progress=work.progress,
    )
    tally = ", ".join(f"{count} x {name}" for name, count in done.counts.tally.items())
    return Made(
        [*_with_meta(out), scores_path(out).name], f"{done.counts.rows} pairs" + (f"; {tally}" if tally else "")
    )


def _label_options(recipe: Recipe) -> dict[str, Any]:
    """Without rows_per_job, which says how, not what."""
    options = recipe.label.model_dump(exclude={"rows_per_job"})
    return options | ({"model": model_hash(recipe.model.name)} if recipe.label.url is None else {})


def _label(work: Work) -> Made:
    label, out = work.recipe.label, work.folder / "labeled.jsonl"
    with ExitStack() as stack:
        url = label.url
        if url is None:
            from tokenreward._serving import embedded_service
            from tokenreward_trainer.devices import give_back_memory

            give_back_memory()  # What sampling and ranking held here, the engine needs.

            arguments = ["--model", work.recipe.model.name, "--engine", label.engine, *label.serve]
            url = stack.enter_context(embedded_service(arguments))
        done = label_dataset(
            work.inputs["rank"] / "pairs.jsonl",
            out,
            model=label.model,
            template=label.template,
            estimator=label.estimator,
            tokens=True,  # The report draws them.
            url=url,
            progress=work.progress,
            rows_per_job=label.rows_per_job,
        )
    if done.failed == done.responses:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in done.reasons.items())
        raise TokenRewardError(f"no response could be labeled ({reasons}); see {out}")
    failed = f", {done.failed} without labels" if done.failed else ""
    return Made(_with_meta(out), f"{done.responses} responses, {done.tokens} tokens{failed}")


def _train_options(recipe: Recipe, changes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": model_hash(recipe.model.name),
        "reference": model_hash(recipe.model.reference) if recipe.model.reference else None,
        "load": recipe.model.model_dump(include={"dtype", "attention"}),
        "data": recipe.data.model_dump(),
        "lora": recipe.lora.model_dump(),
        "train": recipe.train | dict(changes),
        "examples": recipe.report.examples,
    }


def _with_meta(out: Path) -> list[str]:
    assert read_meta(out) is not None
    return [out.name, f"{out.name}.meta.json"]


def _file(name: str, option: str) -> str:
    if not Path(name).is_file():
        raise BadInput(f"{option}: {name}: no such file")
    return file_hash(Path(name))
