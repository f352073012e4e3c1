"""One training run from its settings: data, labels, model, training, and what it leaves in its output directory.

output_dir/            the trained model (or adapter) and tokenizer, checkpoints
output_dir/README.md   the model card
output_dir/run.json    options, provenance of the labels, metrics, token rewards of held-out pairs
"""

from __future__ import annotations

import warnings
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.model.devices import give_back_memory
from tokenreward_trainer.training.checkpoints import last_checkpoint
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.held_out import learned_of, outcomes, references_of
from tokenreward_trainer.training.hub import push
from tokenreward_trainer.training.marked_spans import found_by, marked_tokens
from tokenreward_trainer.training.model_card import write_card
from tokenreward_trainer.training.model_loading import check_models, load_model, load_tokenizer, lora_config
from tokenreward_trainer.training.pair_sources import RunData, read_pairs
from tokenreward_trainer.training.run_checks import check_run
from tokenreward_trainer.training.run_record import RunRecord, record_of, shown_pairs
from tokenreward_trainer.training.settings import Run
from tokenreward_trainer.training.sharding import check_sharding
from tokenreward_trainer.training.trainer import PreferenceTrainer
from tokenreward_trainer.training.trainings import arguments_of, trainings_of


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
    trainings = trainings_of(run, arguments)
    check_run(run, arguments)
    check_sharding(arguments)
    if "hardware" in run.model_fields_set and run.hardware.cards != arguments.world_size:
        warnings.warn(
            f"the run is meant for {run.hardware.cards} processes, and there are {arguments.world_size}: a step has "
            f"{arguments.world_size / run.hardware.cards:g} times the pairs. Set hardware.cards and the batch to match",
            DoubtfulOption,
            stacklevel=2,
        )
    check_models(run)
    tokenizer = load_tokenizer(run.model.name)
    data = read_pairs(run, arguments, tokenizer)
    records = []
    for each in trainings:
        give_back_memory()
        records.append(_train(run, each, tokenizer, data))
    return records


def _train(run: Run, arguments: PreferenceConfig, tokenizer: PreTrainedTokenizerBase, data: RunData) -> RunRecord:
    trainer = PreferenceTrainer(
        load_model(run.model.name, run.model),
        arguments,
        data.train,
        data.to_evaluate,
        processing_class=tokenizer,
        ref_model=load_model(run.model.reference, run.model) if run.model.reference else None,
        peft_config=lora_config(run.lora),
    )
    shown = run.report.examples
    # Where there is a reference, only what is shown is asked of the initial model, too.
    before = trainer.token_logps(data.held_out[: None if arguments.reference_mode == "none" else shown])
    trainer.train(resume_from_checkpoint=_checkpoint(arguments))
    if data.held_out and arguments.eval_strategy == "no":
        trainer.evaluate()
    trainer.save_model(_internal_call=True)  # Otherwise it would be pushed before its record and card are there.
    after = trainer.token_logps(data.held_out)
    reference = references_of(trainer, data.held_out, before)
    learned, marked = learned_of(trainer, data.held_out, reference, after), marked_tokens(tokenizer, data.held_out)
    spans = found_by(learned, marked)
    examples = shown_pairs(trainer, data.held_out[:shown], before, reference, learned, marked, tokenizer)
    judged = [] if trainer.method.single else outcomes(trainer, learned)
    record = record_of(trainer, examples, judged, spans, data, run)
    if trainer.is_world_process_zero():
        record.write(Path(arguments.output_dir) / "run.json")
        write_card(record, Path(arguments.output_dir))
        if arguments.push_to_hub:
            print(f"pushed: {push(trainer, record.name)}")
    return record


def _checkpoint(arguments: PreferenceConfig) -> str | None:
    """Where to go on. A run that was killed before its first checkpoint begins anew."""
    resume: str | bool | None = arguments.resume_from_checkpoint
    if not isinstance(resume, bool):
        return resume or None
    with arguments.main_process_first(local=False, desc="checkpoints"):  # It removes unfinished ones.
        found = last_checkpoint(Path(arguments.output_dir)) if resume else None
    return None if found is None else str(found)
