"""The stage that samples responses to the prompts from the policy, as `tokenreward sample` does."""

from __future__ import annotations

from typing import Any

from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput, with_meta


def options(recipe: Recipe, policy: str) -> dict[str, Any]:
    """Returns the [sample] section without what says only how fast, and what identifies the policy."""
    return recipe.sample.model_dump(exclude={"gpu_memory"}) | {"model": policy}


def run(given: StageInput) -> StageOutput:
    """Leaves samples.jsonl."""
    from tokenreward_trainer.sampling.sample_file import sample_file

    prompts, out = given.inputs["prompts"] / "prompts.jsonl", given.folder / "samples.jsonl"
    done = sample_file(prompts, out, given.recipe.model.name, given.recipe.sample, progress=given.progress)
    return StageOutput(with_meta(out), f"{done.counts.responses} responses, {done.counts.tokens} tokens")
