"""TRL as an oracle: the same pairs, model and options give the same losses and gradients in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.trainer import PreferenceTrainer

trl = pytest.importorskip("trl")

MakeConfig = Callable[..., PreferenceConfig]
MakeModel = Callable[..., LlamaForCausalLM]

ROWS = [
    {"prompt": "How many legs has a cat?", "chosen": "Four.", "rejected": "A cat has six legs, like all mammals."},
    {"prompt": "Name a colour", "chosen": "Blue is a colour of the sky.", "rejected": "No"},
    {"prompt": "2+2", "chosen": "4", "rejected": "5"},
    {"prompt": "Say hello to the class", "chosen": "Hello, class!", "rejected": "Good-bye, everyone here."},
]


def test_dpo_equals_trls_sigmoid_loss(
    llama: MakeModel, tokenizer: PreTrainedTokenizerFast, config: MakeConfig, tmp_path: Path
) -> None:
    theirs = _trl_dpo(llama, tokenizer, tmp_path, beta=0.3)
    _agree(
        llama(), theirs, config(method="dpo", beta=0.3, reference="live"), theirs.train_dataset, ref_model=llama(seed=1)
    )


def test_wpo_equals_trls_weighted_loss(
    llama: MakeModel, tokenizer: PreTrainedTokenizerFast, config: MakeConfig, tmp_path: Path
) -> None:
    theirs = _trl_dpo(llama, tokenizer, tmp_path, beta=0.3, use_weighting=True)
    _agree(
        llama(), theirs, config(method="wpo", beta=0.3, reference="live"), theirs.train_dataset, ref_model=llama(seed=1)
    )


def test_simpo_equals_trls_cpo_trainer_with_simpo_loss(
    llama: MakeModel, tokenizer: PreTrainedTokenizerFast, config: MakeConfig, tmp_path: Path
) -> None:
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    arguments = CPOConfig(
        str(tmp_path / "trl"),
        loss_type="simpo",
        cpo_alpha=0.0,
        beta=2.0,
        simpo_gamma=1.2,
        max_length=256,
        use_cpu=True,
        report_to="none",
        gradient_checkpointing=False,
        bf16=False,
    )
    theirs = CPOTrainer(llama(), arguments, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer)
    rows = [
        {
            "prompt_ids": row["prompt_input_ids"],
            "chosen_ids": row["chosen_input_ids"][len(row["prompt_input_ids"]) :],
            "rejected_ids": row["rejected_input_ids"][len(row["prompt_input_ids"]) :],
        }
        for row in theirs.train_dataset
    ]
    _agree(llama(), theirs, config(method="simpo", beta=2.0, gamma_ratio=0.6), rows)


def _trl_dpo(llama: MakeModel, tokenizer: PreTrainedTokenizerFast, directory: Path, **options: Any) -> Any:
    arguments = trl.DPOConfig(
        str(directory / "trl"),
        use_cpu=True,
        report_to="none",
        gradient_checkpointing=False,
        bf16=False,
        max_length=None,
        **options,
    )
    return trl.DPOTrainer(
        llama(), llama(seed=1), arguments, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer
    )


def _agree(model: nn.Module, theirs: Any, options: PreferenceConfig, rows: Any, **kwargs: Any) -> None:
    pairs = [
        Pair(str(i), tuple(row["prompt_ids"]), tuple(row["chosen_ids"]), tuple(row["rejected_ids"]))
        for i, row in enumerate(rows)
    ]
    ours = PreferenceTrainer(model, options, pairs, **kwargs)
    assert ours.layout == "packed"
    for index in range(len(pairs)):
        own, other = _loss(ours, [ours.train_dataset[index]]), _loss(theirs, [theirs.train_dataset[index]])
        assert own.item() == pytest.approx(other.item(), rel=1e-5)

    _loss(ours, list(ours.train_dataset), backward=True)
    _loss(theirs, list(theirs.train_dataset), backward=True)
    compared = 0
    for (name, own), (_, other) in zip(_grads(ours.model), _grads(theirs.model), strict=True):
        worst = (own - other).abs().max() / other.abs().max()
        assert worst <= 1e-5, f"{name}: {worst:.2g}"
        compared += 1
    assert compared == len(list(ours.model.parameters()))


def _loss(trainer: Any, examples: list[Any], *, backward: bool = False) -> torch.Tensor:
    from tokenreward_trainer.model.scoring import attending

    trainer.model.train()
    batch = trainer.data_collator(examples)
    with attending(trainer.model, getattr(trainer, "layout", "padded")):
        loss: torch.Tensor = trainer.compute_loss(trainer.model, batch)
        if backward:
            loss.backward()
    return loss.detach()


def _grads(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [(name, p.grad) for name, p in model.named_parameters() if p.grad is not None]
