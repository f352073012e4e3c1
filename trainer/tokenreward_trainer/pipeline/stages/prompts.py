"""TODO: what this module owns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward.dataset.atomic import replace
from tokenreward.dataset.jsonl import json_line
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput, _file
from tokenreward_trainer.prompts import parts_of, write_prompts
from tokenreward_trainer.resumable.segments import read_rows


def _prompt_options(recipe: Recipe) -> dict[str, Any]:
    options = recipe.prompts.model_dump()
    if recipe.prompts.file is not None:
        options["file"] = _file(recipe.prompts.file, "prompts.file")
    return options


def _prompts(work: StageInput) -> StageOutput:
    wanted, out = work.recipe.prompts, work.folder / "prompts.jsonl"
    if wanted.file is None:
        write_prompts(out, parts_of(wanted.sets), wanted.count or 0, wanted.seed)
    else:
        with replace(out) as file:
            file.writelines(map(json_line, read_rows(Path(wanted.file))[: wanted.count]))
    return StageOutput([out.name], f"{len(read_rows(out))} prompts")
