"""The regulariser's strength in standard deviations of the labels: labels of any size pull equally hard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from transformers import LlamaForCausalLM

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.pair_sources import RunData
from tokenreward_trainer.training.run_record import record_of
from tokenreward_trainer.training.settings import run_of
from tokenreward_trainer.training.strength import label_std, strength_of
from tokenreward_trainer.training.trainer import PreferenceTrainer

MakeConfig = Callable[..., PreferenceConfig]
MakeModel = Callable[..., LlamaForCausalLM]
MakePairs = Callable[..., list[Pair]]


def smaller(pairs: list[Pair], factor: float) -> list[Pair]:
    def scaled(values: object) -> np.ndarray:
        return np.asarray(values, dtype=np.float32) * np.float32(factor)

    return [
        replace(
            pair,
            chosen_token_rewards=scaled(pair.chosen_token_rewards),
            rejected_token_rewards=scaled(pair.rejected_token_rewards),
        )
        for pair in pairs
    ]


def test_labels_of_an_eighth_of_the_size_train_the_same(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    found = []
    for factor in (1.0, 0.125):
        options = config(reg_alpha=0.25, reg_scale="labels", num_train_epochs=2)
        trainer = PreferenceTrainer(llama(), options, smaller(make_pairs(8), factor))
        trainer.train()
        found.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_the_factor_is_alpha_over_the_standard_deviation_of_the_tokens_that_count(config: MakeConfig) -> None:
    labels = np.float32([0.4, -0.4, 0.5])
    pair = Pair("a", (1,), (2, 3, 4), (5,), labels, np.float32([0.0]), chosen_mask=np.array([True, True, False]))
    assert label_std([pair]) == pytest.approx(np.std([0.4, -0.4, 0.0]))
    relative = strength_of(config(reg_alpha=0.1, reg_scale="labels"), [pair])
    assert relative.alpha == pytest.approx(0.1 / np.std([0.4, -0.4, 0.0]))
    assert relative.in_stds == pytest.approx(0.1)
    absolute = strength_of(config(reg_alpha=0.1), [pair])
    assert absolute.alpha == 0.1
    assert absolute.in_stds == pytest.approx(0.1 * np.std([0.4, -0.4, 0.0]))


def test_labels_that_are_all_equal_have_no_scale(config: MakeConfig) -> None:
    pair = Pair("a", (1,), (2,), (3,), np.float32([0.1]), np.float32([0.1]))
    with pytest.raises(BadInput, match="all token rewards are equal"):
        strength_of(config(reg_alpha=0.1, reg_scale="labels"), [pair])


def test_the_record_states_the_factor_and_what_it_is_in_standard_deviations(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    pairs = make_pairs(4)
    trainer = PreferenceTrainer(llama(), config(reg_alpha=0.25, reg_scale="labels"), pairs)
    run = run_of({"model": {"name": "m"}, "data": {"train": "t.jsonl"}})
    options = record_of(trainer, [], [], None, RunData(pairs, [], None, "a test's"), run).options
    std = label_std(pairs)
    assert std is not None
    assert options["label_std"] == pytest.approx(std)
    assert options["reg_alpha_in_label_stds"] == pytest.approx(0.25)
    assert options["reg_alpha_absolute"] == pytest.approx(0.25 / std)
    assert (options["reg_alpha"], options["reg_scale"]) == (0.25, "labels")
