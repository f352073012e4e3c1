"""The stage that makes the prompts, by rule or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.jsonl import json_line
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput, option_file_hash
from tokenreward_trainer.prompts import parts_of, write_prompts
from tokenreward_trainer.resumable.segments import read_rows


def options(recipe: Recipe) -> dict[str, Any]:
    """Returns the [prompts] section, a file by its content."""
    options = recipe.prompts.model_dump()
    if recipe.prompts.file is not None:
        options["file"] = option_file_hash(recipe.prompts.file, "prompts.file")
    return options


def run(given: StageInput) -> StageOutput:
    """Leaves prompts.jsonl."""
    wanted, out = given.recipe.prompts, given.folder / "prompts.jsonl"
    if wanted.file is None:
        write_prompts(out, parts_of(wanted.sets), wanted.count or 0, wanted.seed)
    else:
        with replace(out) as file:
            file.writelines(map(json_line, read_rows(Path(wanted.file))[: wanted.count]))
    return StageOutput([out.name], f"{len(read_rows(out))} prompts")
