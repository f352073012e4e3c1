"""One training run from its settings: data, labels, model, training, and what it leaves in its output directory.

output_dir/            the trained model (or adapter) and tokenizer, checkpoints
output_dir/run.json    options, provenance of the labels, metrics, token rewards of held-out pairs
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from tokenreward.errors import BadInput
from tokenreward_trainer.model.devices import give_back_memory
from tokenreward_trainer.training.checkpoints import last_checkpoint
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.model_loading import check_models, load_model, load_tokenizer, lora_config
from tokenreward_trainer.training.pair_sources import RunData, read_pairs
from tokenreward_trainer.training.run_checks import check_file, check_run
from tokenreward_trainer.training.run_record import RunRecord, record_of, shown_pairs
from tokenreward_trainer.training.settings import WITHOUT_REGULARIZER, Run
from tokenreward_trainer.training.trainer import PreferenceTrainer


def arguments_of(run: Run, **changes: Any) -> PreferenceConfig:
    """Makes a PreferenceConfig of the [train] section.

    Args:
        run: The run's settings.
        **changes: Options that take other values than the section gives them.

    Raises:
        BadInput: An option has a value that transformers refuses.
    """
    return PreferenceConfig.of({"report_to": "none", "output_dir": "runs/preference"} | run.train | changes)


def check(run: Run, arguments: PreferenceConfig) -> None:
    """Checks everything about a run that can be known before a model is loaded.

    Args:
        run: The run's settings.
        arguments: Its [train] section.

    Raises:
        BadInput: Options do not go together, or files, models or a checkpoint are missing.
    """
    _trainings(run, arguments)
    check_run(run, arguments)
    check_file(run)


def train_run(run: Run, arguments: PreferenceConfig | None = None) -> list[RunRecord]:
    """Trains and saves; with report.baseline, first the same without the regulariser.

    Args:
        run: The run's settings.
        arguments: Its [train] section where `arguments_of` has made it already.

    Returns:
        What each training left, the baseline first.

    Raises:
        BadInput: Settings, data or models cannot be used.
    """
    arguments = arguments_of(run) if arguments is None else arguments
    trainings = _trainings(run, arguments)
    check_run(run, arguments)
    check_models(run)
    tokenizer = load_tokenizer(run.model.name)
    data = read_pairs(run, arguments, tokenizer)
    records = []
    for each in trainings:
        give_back_memory()
        records.append(_train(run, each, tokenizer, data))
    return records


def _trainings(run: Run, arguments: PreferenceConfig) -> list[PreferenceConfig]:
    if not run.report.baseline:
        return [arguments]
    if isinstance(arguments.resume_from_checkpoint, str):
        raise BadInput(
            f"train.resume_from_checkpoint = {arguments.resume_from_checkpoint!r} is of one training, and with "
            "report.baseline there are two: say true, and each goes on from its own"
        )
    out = str(Path(arguments.output_dir) / "baseline")
    return [arguments_of(run, **WITHOUT_REGULARIZER, output_dir=out), arguments]


def _train(run: Run, arguments: PreferenceConfig, tokenizer: PreTrainedTokenizerBase, data: RunData) -> RunRecord:
    trainer = PreferenceTrainer(
        load_model(run.model.name, run.model),
        arguments,
        data.train,
        data.held_out or None,
        processing_class=tokenizer,
        ref_model=load_model(run.model.reference, run.model) if run.model.reference else None,
        peft_config=lora_config(run.lora),
    )
    shown = data.held_out[: run.report.examples]
    before = trainer.token_logps(shown)
    trainer.train(resume_from_checkpoint=_checkpoint(arguments))
    if data.held_out and arguments.eval_strategy == "no":
        trainer.evaluate()
    trainer.save_model()
    examples = shown_pairs(trainer, shown, before, trainer.token_logps(shown), tokenizer)
    record = record_of(trainer, examples, data)
    if trainer.is_world_process_zero():
        record.write(Path(arguments.output_dir) / "run.json")
    return record


def _checkpoint(arguments: PreferenceConfig) -> str | None:
    """Where to go on. A run that was killed before its first checkpoint begins anew."""
    resume: str | bool | None = arguments.resume_from_checkpoint
    if not isinstance(resume, bool):
        return resume or None
    with arguments.main_process_first(local=False, desc="checkpoints"):  # It removes unfinished ones.
        found = last_checkpoint(Path(arguments.output_dir)) if resume else None
    return None if found is None else str(found)
