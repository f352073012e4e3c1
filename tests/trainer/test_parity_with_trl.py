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

pytestmark = pytest.mark.trains

trl = pytest.importorskip("trl")

MakeConfig = Callable[..., PreferenceConfig]
MakeModel = Callable[..., LlamaForCausalLM]

ROWS = [
    {"prompt": "How many legs has a cat?", "chosen": "Four.", "rejected": "A cat has six legs, like all mammals."},
    {"prompt": "Name a colour", "chosen": "Blue is a colour of the sky.", "rejected": "No"},
    {"prompt": "2+2", "chosen": "4", "rejected": "5"},
    {"prompt": "Say hello to the class", "chosen": "Hello, class!", "rejected": "Good-bye, everyone here."},
]
_QUIET: dict[str, Any] = {"use_cpu": True, "report_to": "none", "gradient_checkpointing": False, "bf16": False}


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


@pytest.mark.parametrize(
    ("method", "options"), [("ipo", {}), ("hinge", {"beta": 2.0}), ("robust", {"label_smoothing": 0.1})]
)
def test_other_losses_of_the_margin_equal_trls(
    method: str,
    options: dict[str, Any],
    llama: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    config: MakeConfig,
    tmp_path: Path,
) -> None:
    options = {"beta": 0.3} | options
    theirs = _trl_dpo(llama, tokenizer, tmp_path, loss_type=method, **options)
    ours = config(method=method, reference="live", **options)
    _agree(llama(), theirs, ours, theirs.train_dataset, ref_model=llama(seed=1))


@pytest.mark.parametrize(
    ("method", "theirs_only", "options"),
    [
        ("simpo", {"loss_type": "simpo", "cpo_alpha": 0.0, "simpo_gamma": 1.2}, {"gamma_ratio": 0.6}),
        ("simpo", {"loss_type": "simpo", "cpo_alpha": 0.0, "simpo_gamma": 1.0}, {"label_smoothing": 0.2}),
        ("cpo", {"loss_type": "sigmoid"}, {"cpo_alpha": 0.5, "label_smoothing": 0.1}),
    ],
)
def test_simpo_and_cpo_equal_trls_cpo_trainer(
    method: str,
    theirs_only: dict[str, Any],
    options: dict[str, Any],
    llama: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    config: MakeConfig,
    tmp_path: Path,
) -> None:
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    shared = {name: value for name, value in options.items() if name != "gamma_ratio"}
    arguments = CPOConfig(str(tmp_path / "trl"), beta=2.0, max_length=256, **_QUIET, **theirs_only, **shared)
    theirs = CPOTrainer(llama(), arguments, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer)
    # TRL averages the likelihood term over the tokens of a batch, and we over its pairs: one pair at a time.
    _agree(llama(), theirs, config(method=method, beta=2.0, **options), _rows_of(theirs), apart=True)


def test_orpo_equals_trls_where_the_prompt_has_no_tokens_to_predict(
    llama: MakeModel, tokenizer: PreTrainedTokenizerFast, config: MakeConfig, tmp_path: Path
) -> None:
    """TRL trains on the prompt too, which the paper does not. Of a prompt of one token it predicts nothing."""
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    arguments = ORPOConfig(str(tmp_path / "trl"), beta=0.4, max_length=256, **_QUIET)
    rows = Dataset.from_list([row | {"prompt": "?"} for row in ROWS])
    theirs = ORPOTrainer(llama(), arguments, train_dataset=rows, processing_class=tokenizer)
    _agree(llama(), theirs, config(method="orpo", beta=0.4), _rows_of(theirs), apart=True)


def test_kto_equals_trls(
    llama: MakeModel, tokenizer: PreTrainedTokenizerFast, config: MakeConfig, tmp_path: Path
) -> None:
    from trl import KTOConfig, KTOTrainer

    numbers = {"beta": 0.3, "desirable_weight": 1.5, "undesirable_weight": 0.5}
    arguments = KTOConfig(
        str(tmp_path / "trl"), train_sampling_strategy="sequential", per_device_train_batch_size=2, **_QUIET, **numbers
    )
    alone = [{"prompt": row["prompt"], "completion": row["chosen"], "label": True} for row in ROWS]
    theirs = KTOTrainer(
        llama(), llama(seed=1), arguments, train_dataset=Dataset.from_list(alone), processing_class=tokenizer
    )
    pairs = [
        Pair(str(i), *(tuple(tokenizer(row[side])["input_ids"]) for side in ("prompt", "chosen", "rejected")))
        for i, row in enumerate(ROWS)
    ]
    ours = PreferenceTrainer(llama(), config(method="kto", **numbers), pairs, ref_model=llama(seed=1))
    before = [pairs[-1], *pairs[:-1]]
    theirs.train_dataset = [
        {"prompt_ids": list(pair.prompt), "completion_ids": list(own), "KL_completion_ids": list(other), "label": good}
        for pair, last in zip(pairs, before, strict=True)
        for own, other, good in ((pair.chosen, last.chosen, True), (pair.rejected, last.rejected, False))
    ]
    own, other = (
        _loss(ours, list(ours.train_dataset), backward=True),
        _loss(theirs, theirs.train_dataset, backward=True),
    )
    assert own.item() == pytest.approx(other.item(), rel=1e-5)
    _same_gradients(ours, theirs)


def _trl_dpo(llama: MakeModel, tokenizer: PreTrainedTokenizerFast, directory: Path, **options: Any) -> Any:
    arguments = trl.DPOConfig(str(directory / "trl"), max_length=None, **_QUIET, **options)
    return trl.DPOTrainer(
        llama(), llama(seed=1), arguments, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer
    )


def _rows_of(theirs: Any) -> list[dict[str, Any]]:
    """The ids of pairs that TRL's CPO and ORPO trainers have tokenized."""
    return [
        {
            "prompt_ids": row["prompt_input_ids"],
            "chosen_ids": row["chosen_input_ids"][len(row["prompt_input_ids"]) :],
            "rejected_ids": row["rejected_input_ids"][len(row["prompt_input_ids"]) :],
        }
        for row in theirs.train_dataset
    ]


def _agree(
    model: nn.Module, theirs: Any, options: PreferenceConfig, rows: Any, *, apart: bool = False, **kwargs: Any
) -> None:
    pairs = [
        Pair(str(i), tuple(row["prompt_ids"]), tuple(row["chosen_ids"]), tuple(row["rejected_ids"]))
        for i, row in enumerate(rows)
    ]
    ours = PreferenceTrainer(model, options, pairs, **kwargs)
    assert ours.layout == "packed"
    for index in range(len(pairs)):
        own, other = _loss(ours, [ours.train_dataset[index]]), _loss(theirs, [theirs.train_dataset[index]])
        assert own.item() == pytest.approx(other.item(), rel=1e-5)

    for batch in [[index] for index in range(len(pairs))] if apart else [[*range(len(pairs))]]:
        _loss(ours, [ours.train_dataset[index] for index in batch], backward=True)
        _loss(theirs, [theirs.train_dataset[index] for index in batch], backward=True)
    _same_gradients(ours, theirs)


def _same_gradients(ours: Any, theirs: Any) -> None:
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
