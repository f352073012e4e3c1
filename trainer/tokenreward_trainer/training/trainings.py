"""The trainings that a run consists of: the one that it describes, and with `report.baseline` another one before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenreward.errors import BadInput
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.settings import WITHOUT_REGULARIZER, Run


def arguments_of(run: Run, **changes: Any) -> PreferenceConfig:
    """Makes a PreferenceConfig of the [train] section.

    Args:
        run: The run's settings.
        **changes: Options that take other values than the section gives them.

    Raises:
        BadInput: An option has a value that transformers refuses.
    """
    return PreferenceConfig.of({"report_to": "none", "output_dir": "runs/preference"} | run.train | changes)


def trainings_of(run: Run, arguments: PreferenceConfig) -> list[PreferenceConfig]:
    """Returns the options of each training, the baseline's first.

    Args:
        run: The run's settings.
        arguments: Its [train] section.

    Raises:
        BadInput: One checkpoint is named for two trainings.
    """
    if not run.report.baseline:
        return [arguments]
    if isinstance(arguments.resume_from_checkpoint, str):
        raise BadInput(
            f"train.resume_from_checkpoint = {arguments.resume_from_checkpoint!r} is of one training, and with "
            "report.baseline there are two: say true, and each goes on from its own"
        )
    out = str(Path(arguments.output_dir) / "baseline")
    return [arguments_of(run, **WITHOUT_REGULARIZER, output_dir=out, push_to_hub=False), arguments]
