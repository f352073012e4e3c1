"""The stage that labels the pairs, by a service of the user's or by one that lives as long as the stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from tokenreward.dataset import label_dataset
from tokenreward.errors import TokenRewardError
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput, with_meta
from tokenreward_trainer.resumable.hashes import model_hash


def options(recipe: Recipe, policy: str) -> dict[str, Any]:
    """Returns the [label] section without what says only how fast; without a url, what identifies the policy too."""
    # Without `models` the options are those of runs of versions that knew none.
    options = recipe.label.model_dump(exclude={"rows_per_job"} | (set() if recipe.label.models else {"models"}))
    if recipe.label.url is not None:
        return options
    adapters = dict(_adapters(recipe.label.serve))
    # Without adapters, likewise.
    return options | {"model": policy} | ({"adapters": adapters} if adapters else {})


def _adapters(serve: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the name of each `--adapter NAME=PATH`, and the hash of what stands there now."""
    for option, following in zip(serve, [*serve[1:], ""], strict=True):
        if option == "--adapter" or option.startswith("--adapter="):
            name, _, path = (following if option == "--adapter" else option.removeprefix("--adapter=")).partition("=")
            yield name, model_hash(path)


def run(given: StageInput) -> StageOutput:
    """Leaves labeled.jsonl.

    Raises:
        TokenRewardError: Not one response could be labeled.
    """
    label, out = given.recipe.label, given.folder / "labeled.jsonl"
    with ExitStack() as stack:
        url = label.url
        if url is None:
            from tokenreward.embedded_service import embedded_service
            from tokenreward_trainer.model.devices import give_back_memory

            give_back_memory()  # What sampling and ranking held here, the engine needs.
            arguments = ["--model", given.recipe.model.name, "--engine", label.engine, *label.serve]
            url = stack.enter_context(embedded_service(arguments))
        done = label_dataset(
            given.inputs["rank"] / "pairs.jsonl",
            out,
            model=label.model,
            template=label.template,
            estimator=label.estimator,
            parameters=label.parameters,
            models=label.models,
            contexts=label.context,
            pool=label.pool,
            pool_by=label.pool_by,
            score=label.score,
            tokens=True,  # The report draws them.
            url=url,
            progress=given.progress,
            rows_per_job=label.rows_per_job,
        )
    if done.failed == done.responses:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in done.reasons.items())
        raise TokenRewardError(f"no response could be labeled ({reasons}); see {out}")
    failed = f", {done.failed} without labels" if done.failed else ""
    return StageOutput(with_meta(out), f"{done.responses} responses, {done.tokens} tokens{failed}")
