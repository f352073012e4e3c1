"""The stage that makes pairs of the best and the worst responses, as `tokenreward rank` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput, option_file_hash, with_meta
from tokenreward_trainer.ranking.pair_selection import Ranking
from tokenreward_trainer.scorers import identity_of


def options(recipe: Recipe) -> dict[str, Any]:
    """Returns the [rank] section, with the scorer by its identity and a file of extra responses by its content."""
    options = recipe.rank.model_dump()
    if recipe.rank.extra is not None:
        options["extra"] = option_file_hash(recipe.rank.extra, "rank.extra")
    return options | {"scorer": identity_of(recipe.rank.scorer)}


def run(given: StageInput) -> StageOutput:
    """Leaves pairs.jsonl, and pairs.scores.jsonl with all groups and scores."""
    from tokenreward_trainer.ranking.rank_file import rank_file, scores_path

    rank, out = given.recipe.rank, given.folder / "pairs.jsonl"
    done = rank_file(
        given.inputs["sample"] / "samples.jsonl",
        out,
        rank.scorer,
        Ranking(**rank.model_dump(include=set(Ranking.model_fields))),
        extra=Path(rank.extra) if rank.extra is not None else None,
        model=given.recipe.model.name,
        progress=given.progress,
    )
    tally = ", ".join(f"{count} x {name}" for name, count in done.counts.tally.items())
    return StageOutput(
        [*with_meta(out), scores_path(out).name], f"{done.counts.rows} pairs" + (f"; {tally}" if tally else "")
    )
