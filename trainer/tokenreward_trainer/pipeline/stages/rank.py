"""TODO: what this module owns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput, _file, _with_meta
from tokenreward_trainer.ranking.pair_selection import Ranking
from tokenreward_trainer.scorers import identity_of


def _rank_options(recipe: Recipe) -> dict[str, Any]:
    options = recipe.rank.model_dump()
    if recipe.rank.extra is not None:
        options["extra"] = _file(recipe.rank.extra, "rank.extra")
    return options | {"scorer": identity_of(recipe.rank.scorer)}


def _rank(work: StageInput) -> StageOutput:
    from tokenreward_trainer.ranking import rank_file
    from tokenreward_trainer.ranking.rank_file import scores_path

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
    return StageOutput(
        [*_with_meta(out), scores_path(out).name], f"{done.counts.rows} pairs" + (f"; {tally}" if tally else "")
    )
