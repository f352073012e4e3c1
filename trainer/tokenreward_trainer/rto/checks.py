"""What can be known of an RTO run before anything is loaded: that its files, models and names are there."""

from __future__ import annotations

from pathlib import Path

from tokenreward.errors import BadInput
from tokenreward_trainer.prompts import parts_of
from tokenreward_trainer.rto.settings import RtoRun
from tokenreward_trainer.scorers import scorer_of
from tokenreward_trainer.training.run_checks import check_model_name


def check_rto(run: RtoRun) -> None:
    """Checks what a run names.

    Raises:
        BadInput: A file or a model is missing, or there is no scorer or family of prompts of that name.
    """
    for option, name in (
        ("model.name", run.model.name),
        ("model.reference", run.model.reference),
        ("rewards.dpo", run.rewards.dpo),
    ):
        if name is not None:
            check_model_name(option, name)
    if run.prompts.file is not None and not Path(run.prompts.file).is_file():
        raise BadInput(f"prompts.file: {run.prompts.file}: no such file")
    if run.prompts.sets:
        parts_of(run.prompts.sets)
    name, _, rest = run.rewards.scorer.partition(":")
    if name == "reward_model":
        check_model_name("rewards.scorer", rest)
    else:
        scorer_of(run.rewards.scorer)
