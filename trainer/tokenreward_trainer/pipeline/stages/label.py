"""TODO: what this module owns."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from tokenreward.dataset import label_dataset
from tokenreward.errors import TokenRewardError
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput, _with_meta
from tokenreward_trainer.resumable.hashes import model_hash


def _label_options(recipe: Recipe) -> dict[str, Any]:
    """Without rows_per_job, which says how, not what."""
    options = recipe.label.model_dump(exclude={"rows_per_job"})
    return options | ({"model": model_hash(recipe.model.name)} if recipe.label.url is None else {})


def _label(work: StageInput) -> StageOutput:
    label, out = work.recipe.label, work.folder / "labeled.jsonl"
    with ExitStack() as stack:
        url = label.url
        if url is None:
            from tokenreward.embedded_service import embedded_service
            from tokenreward_trainer.model.devices import give_back_memory

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
    return StageOutput(_with_meta(out), f"{done.responses} responses, {done.tokens} tokens{failed}")
