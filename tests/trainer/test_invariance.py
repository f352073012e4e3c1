"""However a batch is cut, the step is the same; and a run that was stopped and resumed ends where one never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from tests.support import two_processes
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.trainer import PreferenceTrainer

pytestmark = pytest.mark.trains

MakeConfig = Callable[..., PreferenceConfig]
MakeModel = Callable[..., PreTrainedModel]
MakePairs = Callable[..., list[Pair]]

ONE_STEP: dict[str, Any] = {
    "max_steps": 1,
    "optim": "sgd",
    "learning_rate": 1.0,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "max_grad_norm": 0,
    "beta": 0.3,
}

METHODS: list[dict[str, Any]] = [
    {"method": "dpo", "reg_alpha": 0.25},
    {"method": "dpo", "reg_alpha": 0.25, "weighting": "static", "sft_weight": 0.5, "reference": "live"},
    {"method": "simpo", "beta": 2.0, "reg_alpha": 0.25},
    {"method": "wpo", "reg_alpha": 0.25},
    {"method": "tdpo2"},
    {"method": "sepo", "beta": None},
    {"method": "ipo"},
    {"method": "hinge", "reg_alpha": 0.25},
    {"method": "robust", "label_smoothing": 0.1, "reg_alpha": 0.25},
    {"method": "cpo", "reg_alpha": 0.25},
    {"method": "orpo"},
    {"method": "tisdpo"},
    {"method": "tgdpo"},
    {"method": "confpo", "beta": 2.0},
    {"method": "sft", "beta": None},
]


@pytest.fixture
def step(llama: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> Callable[..., tuple[float, list[Tensor]]]:
    """Loss and gradients (the parameters' move under SGD) of one optimizer step on 8 pairs."""

    def run(**changes: Any) -> tuple[float, list[Tensor]]:
        options = config(**(ONE_STEP | changes))
        model = llama(torch.float64)
        before = [p.detach().clone() for p in model.parameters()]
        reference = llama(torch.float64, seed=1) if options.reference_mode != "none" else None
        trainer = PreferenceTrainer(model, options, make_pairs(8), ref_model=reference)
        trainer.train()
        moves = [old - new.detach() for old, new in zip(before, model.parameters(), strict=True)]
        return trainer.state.log_history[0]["loss"], moves

    return run


@pytest.mark.parametrize("method", METHODS, ids=lambda m: "-".join(str(v) for v in m.values()))
def test_batch_accumulation_and_parts_do_not_change_the_step(
    method: dict[str, Any], step: Callable[..., tuple[float, list[Tensor]]]
) -> None:
    loss, moves = step(per_device_train_batch_size=8, forward_tokens=10_000, **method)
    assert max(move.abs().max().item() for move in moves) > 1e-4
    for changes in (
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8},
        {"per_device_train_batch_size": 8, "forward_tokens": 30},
    ):
        other, other_moves = step(**changes, **method)
        assert other == pytest.approx(loss, rel=1e-6)  # The Trainer rounds what it logs.
        torch.testing.assert_close(other_moves, moves, rtol=1e-9, atol=1e-11, msg=lambda m, c=changes: f"{c}: {m}")


def test_parts_do_not_change_a_step_of_kto_whose_reference_point_is_the_batchs(
    step: Callable[..., tuple[float, list[Tensor]]],
) -> None:
    loss, moves = step(method="kto", per_device_train_batch_size=8, forward_tokens=10_000)
    other, other_moves = step(method="kto", per_device_train_batch_size=8, forward_tokens=30)
    assert other == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(other_moves, moves, rtol=1e-9, atol=1e-11)


def test_an_uneven_last_batch_is_a_mean_over_its_own_pairs(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    """7 pairs as 3 + 3 + 1: every pair counts 1/7, not a third of its micro-batch's share."""

    def run(**changes: Any) -> list[Tensor]:
        model = llama(torch.float64)
        PreferenceTrainer(
            model, config(**(ONE_STEP | changes)), make_pairs(7), ref_model=llama(torch.float64, seed=1)
        ).train()
        return [p.detach() for p in model.parameters()]

    whole = run(per_device_train_batch_size=7)
    uneven = run(per_device_train_batch_size=3, gradient_accumulation_steps=3)
    torch.testing.assert_close(uneven, whole, rtol=1e-9, atol=1e-11)


@pytest.mark.slow
def test_two_gloo_processes_take_the_same_step_as_one(tmp_path: Path) -> None:
    """Each with two accumulation steps, and those in parts of which one process may have more than the other."""
    alone, both = tmp_path / "one.pt", tmp_path / "two.pt"
    two_processes.main(str(alone), "8", "1", "10000")
    two_processes.run_two(str(both), "2", "2", "30")
    one, two = (torch.load(file, weights_only=False) for file in (alone, both))
    torch.testing.assert_close(two["parameters"], one["parameters"], rtol=1e-9, atol=1e-11)
    for name in ("loss", "rewards/margins", "logps/chosen", "token_rewards/correlation"):
        assert two["log"][name] == pytest.approx(one["log"][name], rel=1e-6), name


def test_stop_and_resume_ends_where_a_run_that_never_stopped_ends(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "max_steps": 6,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "reg_alpha": 0.25,
        "save_strategy": "steps",
        "save_steps": 3,
        "num_train_epochs": 3,
    }

    def trainer(directory: str) -> PreferenceTrainer:
        return PreferenceTrainer(llama(), config(**options, output_dir=str(tmp_path / directory)), make_pairs(10))

    straight = trainer("straight")
    straight.train()
    stopped = trainer("stopped")
    stopped.train()  # Its second half is thrown away.
    resumed = trainer("stopped")
    resumed.train(resume_from_checkpoint=str(tmp_path / "stopped" / "checkpoint-3"))
    assert resumed.state.global_step == 6
    for (name, one), other in zip(straight.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other), name
    losses = [[entry["loss"] for entry in t.state.log_history if "loss" in entry] for t in (straight, resumed)]
    assert losses[0] == losses[1]
