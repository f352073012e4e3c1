"""One training run from its settings: data, labels, model, training, and what it leaves in its output directory.

output_dir/            the trained model (or adapter) and tokenizer, checkpoints
output_dir/run.json    options, provenance of the labels, metrics, token rewards of held-out pairs
output_dir/report.html the report
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from tokenreward.errors import BadInput
from tokenreward.schema import Provenance
from tokenreward_trainer.batches import Pair
from tokenreward_trainer.checkpoints import last_checkpoint
from tokenreward_trainer.config import PreferenceConfig
from tokenreward_trainer.data import load_pairs
from tokenreward_trainer.devices import give_back_memory
from tokenreward_trainer.labels import contrast_labels, surprisal_labels
from tokenreward_trainer.record import RunRecord, record_of
from tokenreward_trainer.settings import Run
from tokenreward_trainer.trainer import PreferenceTrainer


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


def _origin(run: Run, pairs: Sequence[Pair]) -> str:
    """Where the labels come from, for people."""
    if pairs[0].chosen_rewards is None:
        return "none"
    if run.labels.source == "contrast":
        return f"log-ratio of {run.labels.strong} to {run.labels.weak or run.model.name}, by the trainer"
    return f"surprisal under {run.model.name}, by the trainer" if run.labels.source == "surprisal" else "the file's own"


def _pairs(
    run: Run, arguments: PreferenceConfig, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Pair], list[Pair], Provenance | None]:
    """Training pairs, held-out pairs, provenance of their labels."""
    data, limits = run.data, {"max_length": run.data.max_length, "max_prompt_length": run.data.max_prompt_length}
    files = [Path(data.train), *([Path(data.eval)] if data.eval else [])]
    if run.labels.source == "service":
        with arguments.main_process_first(local=False, desc="labels"):  # The others find the files labeled.
            files = [_label(run, file, Path(arguments.output_dir)) for file in files]
    loaded = [load_pairs(file, tokenizer, **limits) for file in files]
    pairs, provenance = loaded[0].pairs, loaded[0].provenance
    if data.eval:
        held_out = loaded[1].pairs
        if loaded[1].provenance != provenance and provenance is not None:
            raise BadInput(f"{data.train} and {data.eval} were labeled differently: label both in one way")
    else:
        count = round(len(pairs) * data.eval_share)
        # From the end, so that the same file gives the same split whatever the limit.
        pairs, held_out = pairs[: len(pairs) - count], pairs[len(pairs) - count :]
    pairs = pairs[: data.limit]
    if run.labels.source in ("contrast", "surprisal"):
        pairs, held_out = _computed(run, arguments.device, pairs, held_out)
        provenance = None
    return pairs, held_out, provenance


def _computed(run: Run, device: torch.device, pairs: list[Pair], held_out: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Labels by the trainer's own log-probs, over both sets together; in every process, at the same time."""
    both = [*pairs, *held_out]
    if run.labels.source == "surprisal":
        labeled = surprisal_labels(both, _model(run, run.model.name).to(device))
    else:
        assert run.labels.strong is not None
        if (Path(run.labels.strong) / "adapter_config.json").exists():
            from peft import PeftModel

            strong = PeftModel.from_pretrained(_model(run, run.labels.weak or run.model.name), run.labels.strong)
            labeled = contrast_labels(both, strong.to(device))
        else:
            weak = _model(run, run.labels.weak or run.model.name)
            labeled = contrast_labels(both, _model(run, run.labels.strong).to(device), weak.to(device))
    return labeled[: len(pairs)], labeled[len(pairs) :]


def _label(run: Run, file: Path, out: Path) -> Path:
    """The file, labeled by the service; what was labeled already stays."""
    from tokenreward.dataset import label_dataset

    target = out / "labels" / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    labels = run.labels
    done = label_dataset(
        file, target, model=labels.model, template=labels.template, estimator=labels.estimator, url=labels.url
    )
    return done.path


def _tokenizer(name: str) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise BadInput(f"model.name = {name!r}: its tokenizer cannot be loaded: {error}") from None


def _model(run: Run, name: str) -> PreTrainedModel:
    dtype = run.model.dtype
    if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise BadInput(f"model.dtype = {dtype!r} must be auto, float32, bfloat16 or float16")
    options: dict[str, Any] = {"dtype": dtype if dtype == "auto" else getattr(torch, dtype)}
    if run.model.attention is not None:
        options["attn_implementation"] = run.model.attention
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise BadInput(f"model {name!r} cannot be loaded: {error}") from None
    return model


def _lora(run: Run) -> Any:
    if run.lora.r == 0:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=run.lora.r,
        lora_alpha=run.lora.alpha,
        lora_dropout=run.lora.dropout,
        target_modules=run.lora.target_modules,
        task_type="CAUSAL_LM",
    )
