"""One training run from its settings: data, labels, model, training, and what it leaves in its output directory.

output_dir/            the trained model (or adapter) and tokenizer, checkpoints
output_dir/run.json    options, provenance of the labels, metrics, token rewards of held-out pairs
output_dir/report.html the report
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from tokenreward.errors import BadInput
from tokenreward.schema import Provenance
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.model.devices import give_back_memory
from tokenreward_trainer.training.checkpoints import last_checkpoint
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.model_loading import _lora, _model, _tokenizer
from tokenreward_trainer.training.pair_sources import _origin, _pairs
from tokenreward_trainer.training.run_record import RunRecord, record_of
from tokenreward_trainer.training.settings import Run
from tokenreward_trainer.training.trainer import PreferenceTrainer


def arguments_of(run: Run, **changes: Any) -> PreferenceConfig:
    """The [train] section as a PreferenceConfig."""
    options = {"report_to": "none", "output_dir": "runs/preference"} | run.train | changes
    try:
        return PreferenceConfig(**options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"[train]: {error}") from None


def train_run(run: Run) -> Path:
    """Trains, saves and reports; gives the report's path."""
    arguments = arguments_of(run)
    out = Path(arguments.output_dir)
    tokenizer = _tokenizer(run.model.name)
    trainings = [arguments]
    if run.report.baseline:
        if isinstance(arguments.resume_from_checkpoint, str):
            raise BadInput(
                f"train.resume_from_checkpoint = {arguments.resume_from_checkpoint!r} is of one training, and with "
                "report.baseline there are two: say true, and each goes on from its own"
            )
        plain = arguments_of(run, reg_alpha=0.0, weighting="dynamic", output_dir=str(out / "baseline"))
        trainings.insert(0, plain)
    train, held_out, provenance = _pairs(run, arguments, tokenizer)
    records = []
    for each in trainings:
        give_back_memory()
        records.append(_train(run, each, tokenizer, train, held_out, provenance))
    report = out / "report.html"
    if arguments.process_index == 0:
        from tokenreward_trainer.report import write_report

        write_report(report, records)
        print(f"report: {report.absolute()}")
    return report


def _train(
    run: Run,
    arguments: PreferenceConfig,
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[Pair],
    held_out: Sequence[Pair],
    provenance: Provenance | None,
) -> RunRecord:
    trainer = PreferenceTrainer(
        _model(run, run.model.name),
        arguments,
        train,
        held_out or None,
        processing_class=tokenizer,
        ref_model=_model(run, run.model.reference) if run.model.reference else None,
        peft_config=_lora(run),
    )
    shown = held_out[: run.report.examples]
    before = trainer.token_logps(shown)
    trainer.train(resume_from_checkpoint=_checkpoint(arguments))
    if held_out and arguments.eval_strategy == "no":
        trainer.evaluate()
    trainer.save_model()
    record = record_of(trainer, shown, before, trainer.token_logps(shown), tokenizer, _origin(run, train), provenance)
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
