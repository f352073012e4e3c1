"""TODO: what this module owns."""

from __future__ import annotations

from typing import Any

from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput, _with_meta
from tokenreward_trainer.resumable.hashes import model_hash


def _sample_options(recipe: Recipe) -> dict[str, Any]:
    return recipe.sample.model_dump(exclude={"gpu_memory"}) | {"model": model_hash(recipe.model.name)}


def _sample(work: StageInput) -> StageOutput:
    from tokenreward_trainer.sampling import sample_file

    prompts, out = work.inputs["prompts"] / "prompts.jsonl", work.folder / "samples.jsonl"
    done = sample_file(prompts, out, work.recipe.model.name, work.recipe.sample, progress=work.progress)
    return StageOutput(_with_meta(out), f"{done.counts.responses} responses, {done.counts.tokens} tokens")
