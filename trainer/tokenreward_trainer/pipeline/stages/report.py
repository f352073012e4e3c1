"""The stage at the end of a run: one page of what was sampled, which pairs came of it, and what training made of them.

The page is one HTML file that loads nothing and runs nothing, and it looks like the training report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.round_names import named
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput
from tokenreward_trainer.ranking.rank_file import scores_path
from tokenreward_trainer.resumable.segments import read_rows


def options(recipe: Recipe) -> dict[str, Any]:
    """Returns the [report] section."""
    return recipe.report.model_dump()


def run(given: StageInput) -> StageOutput:
    """Leaves report.html."""
    from tokenreward.show.rows import shown_rows
    from tokenreward_trainer.report import run_sections
    from tokenreward_trainer.report.conclusion import conclusion
    from tokenreward_trainer.report.page import page_of
    from tokenreward_trainer.report.training_report import title_of, training_sections
    from tokenreward_trainer.training.run_record import RunRecord

    wanted, last = given.recipe.report, given.recipe.run.rounds
    sampled = read_rows(given.inputs[named("sample", last)] / "samples.jsonl")
    rounds = [
        read_rows(scores_path(given.inputs[named("rank", number)] / "pairs.jsonl")) for number in range(1, last + 1)
    ]
    scored = rounds[-1]
    trainings = [given.inputs[name] for stage in ("baseline", "train") if (name := named(stage, last)) in given.inputs]
    records = [RunRecord.read(folder / "model" / "run.json") for folder in trainings]
    labeled = given.inputs[named("label", last)] / "labeled.jsonl"
    pairs = shown_rows(labeled, 0, wanted.pairs, _no_service) if wanted.pairs else []
    page = page_of(
        f"From prompts to {title_of(records)}",
        [
            conclusion(records),
            run_sections.stages(given.inputs),
            run_sections.rounds(rounds),
            run_sections.scores(sampled, scored),
            run_sections.samples(scored[: wanted.samples]),
            run_sections.pairs(pairs),
            *training_sections(records),
            *_rto(given),
        ],
    )
    (given.folder / "report.html").write_text(page, "utf-8")
    return StageOutput(["report.html"], f"{min(len(scored), wanted.samples)} groups and {len(pairs)} pairs shown")


def _rto(given: StageInput) -> list[str]:
    """The section of PPO behind the last training, where the recipe has it."""
    from tokenreward_trainer.rto.record import section_of
    from tokenreward_trainer.training.run_record import RunRecord

    folder = given.inputs.get(named("rto", given.recipe.run.rounds))
    if folder is None:
        return []
    record = RunRecord.read(folder / "model" / "run.json")
    return [f"<h2>{record.name}</h2>{section_of(record)}"]


def _no_service(items: list[dict[str, Any]]) -> Sequence[Any]:
    raise AssertionError("the label stage keeps the tokens' texts, so no service is asked")
