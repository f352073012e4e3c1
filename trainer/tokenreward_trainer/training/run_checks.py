"""What can be known of a run before a model is loaded: its files and models are there, and its splits work."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from tokenreward.dataset.formats import read_labeled
from tokenreward.errors import BadInput
from tokenreward_trainer.training.checkpoints import is_whole
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.settings import Run


def check_run(run: Run, arguments: PreferenceConfig) -> None:
    """Checks a run's files, models and checkpoint.

    Args:
        run: The run's settings.
        arguments: Its [train] section.

    Raises:
        BadInput: Something is missing; the message names the option.
    """
    for check in checks_of(run, arguments):
        check()


def checks_of(run: Run, arguments: PreferenceConfig) -> list[Callable[[], None]]:
    """Returns the single checks of `check_run`, so that one can be made after another has failed.

    Args:
        run: The run's settings.
        arguments: Its [train] section.
    """
    models = (
        ("model.name", run.model.name),
        ("model.reference", run.model.reference),
        ("labels.strong", run.labels.strong),
        ("labels.weak", run.labels.weak),
    )
    files = [("data.mix" if run.data.mix else "data.train", part.file) for part in run.data.parts if part.hub is None]
    files += [("data.eval", file) for file in run.data.eval_sets.values()]
    return [
        *(partial(check_model_name, option, name) for option, name in models if name is not None),
        *(partial(_check_there, option, file) for option, file in files),
        partial(_check_quantization, run),
        partial(check_evaluation, arguments, held_out=bool(run.data.eval or run.data.eval_share)),
        partial(_check_checkpoint, arguments),
    ]


def check_file(run: Run) -> None:
    """Checks that the rows of a run's training file can be split as asked, which a run does as it reads them.

    Raises:
        BadInput: The file cannot be read, or not be split.
    """
    if run.data.train and (run.data.eval_share or run.data.limit is not None):
        check_split(sum(1 for _ in read_labeled(Path(run.data.train))), run.data.eval_share, run.data.limit)


def _check_there(option: str, file: str) -> None:
    if not Path(file).exists():
        raise BadInput(f"{option} = {file!r}: no such file; `tokenreward label IN --out {file}` writes one")


def _check_quantization(run: Run) -> None:
    if run.model.quantization and find_spec("bitsandbytes") is None:
        raise BadInput(
            "model.quantization = 'nf4' needs bitsandbytes, which is not installed: pip install bitsandbytes"
        )
    if run.model.quantization and (run.train.get("fsdp") or run.train.get("deepspeed")):
        raise BadInput(
            "model.quantization = 'nf4' does not go together with FSDP or DeepSpeed here: leave sharding out, because "
            "4-bit weights fit on every card"
        )


def check_model_name(option: str, name: str) -> None:
    """Checks that a model's directory is there, where the name is not one of the hub.

    Raises:
        BadInput: It is missing, or holds no model.
    """
    directory = Path(name).expanduser()
    if directory.is_dir():
        if not any((directory / file).exists() for file in ("config.json", "adapter_config.json")):
            raise BadInput(f"{option} = {name!r}: the directory has no config.json, so it is no model")
        return
    # The hub's names are NAME or OWNER/NAME; a path in a folder that is there is none of them.
    parts = directory.parts
    in_a_folder = len(parts) == 2 and directory.parent.is_dir()
    if directory.is_absolute() or name.startswith((".", "~")) or len(parts) > 2 or in_a_folder:
        raise BadInput(f"{option} = {name!r}: no such directory")


def check_evaluation(arguments: PreferenceConfig, *, held_out: bool) -> None:
    """Checks that there is something to evaluate on where evaluations are asked for.

    Raises:
        BadInput: There is nothing.
    """
    if arguments.eval_strategy != "no" and not held_out:
        raise BadInput(
            f"train.eval_strategy = '{arguments.eval_strategy.value}' needs held-out pairs: set data.eval_share or "
            "data.eval, or say 'no'"
        )


def check_split(pairs: int, eval_share: float, limit: int | None) -> int:
    """Checks that a file of pairs can be split as asked.

    Args:
        pairs: The pairs of the training file.
        eval_share: The share that is held out.
        limit: The most pairs to train on, or None.

    Returns:
        The number of pairs that are held out, from the end of the file.

    Raises:
        BadInput: Nothing is left to train on or to hold out, or there are fewer pairs than the limit.
    """
    held_out = round(pairs * eval_share)
    if held_out >= pairs:
        raise BadInput(f"data.eval_share = {eval_share:g} of {pairs} pairs leaves none to train on: hold out fewer")
    if eval_share and not held_out:
        raise BadInput(f"data.eval_share = {eval_share:g} of {pairs} pairs holds out none: hold out more, or say 0")
    if limit is not None and limit > pairs - held_out:
        raise BadInput(f"data.limit = {limit} is more than the {pairs - held_out} pairs that there are to train on")
    return held_out


def _check_checkpoint(arguments: PreferenceConfig) -> None:
    resume: str | bool | None = arguments.resume_from_checkpoint
    if isinstance(resume, str) and not is_whole(Path(resume)):
        raise BadInput(
            f"train.resume_from_checkpoint = {resume!r}: no checkpoint is there; `true` goes on from the last one in "
            "train.output_dir"
        )
