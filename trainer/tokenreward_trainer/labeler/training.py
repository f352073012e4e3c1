"""The training loop of both kinds of labelers: transformers' Trainer with few options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments

from tokenreward.errors import BadInput
from tokenreward_trainer.labeler.settings import LabelerSettings

#: (the model, a batch with `labels`) -> the loss.
Loss = Callable[[Any, dict[str, Any]], torch.Tensor]


class _Trainer(Trainer):  # type: ignore[misc]
    """A Trainer whose loss asks the model itself, so that it can leave out what it does not need."""

    def __init__(self, *arguments: Any, loss: Loss, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._loss = loss

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> torch.Tensor:
        return self._loss(model, inputs)


def trained(
    model: Any,
    tokenizer: Any,
    examples: Sequence[dict[str, Any]],
    settings: LabelerSettings,
    scratch: Path,
    loss: Loss,
) -> list[float]:
    """Train a model on examples.

    Args:
        model: The model, which is changed.
        tokenizer: Its tokenizer, which pads.
        examples: Each with `input_ids` and `labels` of one length.
        settings: The options.
        scratch: A folder for whatever the Trainer writes.
        loss: What is made small.

    Returns:
        The loss at each logged step.

    Raises:
        BadInput: The process has several GPUs.
    """
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    arguments = TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        logging_steps=0.1,
        save_strategy="no",
        report_to="none",
        seed=settings.seed,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:  # transformers would cut batches by rows, and a loss that belongs to a batch would be lost
        raise BadInput("a labeler is trained on one GPU: show one with CUDA_VISIBLE_DEVICES")
    for parameter in model.parameters():
        if parameter.requires_grad:  # Adam's small steps are lost in bfloat16; the passes are in it all the same
            parameter.data = parameter.data.float()
    trainer = _Trainer(
        model,
        arguments,
        train_dataset=list(examples),
        data_collator=DataCollatorForTokenClassification(tokenizer),
        loss=loss,
    )
    trainer.train()
    return [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
