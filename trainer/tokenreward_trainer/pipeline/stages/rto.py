"""The stage behind the last training: PPO whose dense rewards are the log-ratio of what that training has made (RTO).

It starts from the model that the training started from, which is the reference of both, as in arXiv 2404.18922.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenreward.errors import BadInput
from tokenreward_trainer.pipeline.policy import weights_in
from tokenreward_trainer.pipeline.recipe import Recipe
from tokenreward_trainer.pipeline.stage import StageInput, StageOutput
from tokenreward_trainer.prompts.section import rows_of
from tokenreward_trainer.resumable.hashes import model_hash
from tokenreward_trainer.rto.settings import RtoRun, rto_of
from tokenreward_trainer.scorers import identity_of


def options(recipe: Recipe, policy: str) -> dict[str, Any]:
    """Returns what the run depends on, beside prompts and the trained model.

    Args:
        recipe: The whole recipe.
        policy: What identifies the model that it starts from.
    """
    found = checked(recipe)
    return {
        "model": policy,
        "reference": model_hash(recipe.model.reference) if recipe.model.reference else None,
        "load": recipe.model.model_dump(include={"dtype", "attention", "quantization"}),
        "scorer": identity_of(found.rewards.scorer),
        **found.model_dump(include={"lora", "sample", "rewards", "ppo"}),
    }


def checked(recipe: Recipe) -> RtoRun:
    """Returns the run with names in place of folders that are not there yet.

    Raises:
        BadInput: Its options are wrong, or do not go together, or there are fewer prompts than an iteration takes.
    """
    found = _run(recipe, Path("prompts.jsonl"), Path("model"), Path("out"))
    count = recipe.prompts.count if recipe.prompts.file is None else len(rows_of(recipe.prompts))
    if count is not None and found.ppo.prompts > count:
        raise BadInput(f"rto.ppo.prompts = {found.ppo.prompts} an iteration, and there are {count} prompts")
    return found


def run(given: StageInput) -> StageOutput:
    """Leaves the trained model and its record in model/."""
    from tokenreward_trainer.rto.run import run_rto

    out = given.folder / "model"
    prompts, trained = given.inputs["prompts"] / "prompts.jsonl", given.inputs["train"] / "model"
    run_rto(_run(given.recipe, prompts, trained, out), progress=given.progress)
    record = json.loads((out / "run.json").read_bytes())
    scores = [entry["score"] for entry in record["log"]]
    summary = f"{record['name']}, score {scores[0]:.3f} to {scores[-1]:.3f} in {record['seconds']:.0f} s"
    return StageOutput(["model/run.json", *weights_in(given.folder, "model")], summary)


def _run(recipe: Recipe, prompts: Path, trained: Path, out: Path) -> RtoRun:
    assert recipe.rto is not None
    rewards = recipe.rto.rewards.model_dump(exclude_unset=True)
    if "dpo" in rewards:
        raise BadInput("rto.rewards.dpo is what the recipe trains: remove it")
    if recipe.rto.rewards.source == "dpo":
        rewards["dpo"] = str(trained)
    content = {
        "run": {"directory": str(out)},
        "model": recipe.model.model_dump(),
        "prompts": {"file": str(prompts)},
        "sample": recipe.rto.sample.model_dump(),
        "rewards": {"scorer": recipe.rank.scorer} | rewards,
        "lora": recipe.lora.model_dump(),
        "ppo": recipe.rto.ppo.model_dump(),
    }
    try:
        return rto_of(content)
    except BadInput as error:
        raise BadInput(f"[rto] {error}") from None
