"""Predictions, metrics of one's own, and what the trainer takes as pairs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from transformers import EvalPrediction, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from tokenreward.errors import BadInput
from tokenreward_trainer import pairs_of
from tokenreward_trainer.data.labeled_pairs import Pairs
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.trainer import PreferenceTrainer

MakeConfig = Callable[..., PreferenceConfig]
MakeModel = Callable[..., PreTrainedModel]
MakePairs = Callable[..., list[Pair]]


def test_predictions_are_implicit_rewards_in_the_order_of_the_pairs(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    held_out = make_pairs(7, seed=1)
    # Several parts a batch, which take pairs by length, and an uneven last batch.
    options = config(method="simpo", per_device_eval_batch_size=3, forward_tokens=40, beta=2.0)
    trainer = PreferenceTrainer(llama(), options, make_pairs(4), held_out)
    found = trainer.predict(held_out)
    logps = trainer.token_logps(held_out)
    expected = [[2.0 * chosen.mean(), 2.0 * rejected.mean()] for chosen, rejected in logps]
    np.testing.assert_allclose(found.predictions, expected, rtol=1e-4, atol=1e-5)
    assert found.label_ids.tolist() == [0] * 7
    better = np.argmax(expected, 1) == 0
    assert found.metrics["test_rewards/accuracies"] == pytest.approx(better.mean())
    assert found.metrics["test_loss"] == pytest.approx(trainer.evaluate()["eval_loss"])
    assert "mine_rewards/margins" in trainer.evaluate(held_out, metric_key_prefix="mine")


def test_metrics_of_one_s_own_get_the_rewards(llama: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> None:
    def margin(given: EvalPrediction) -> dict[str, float]:
        return {"margin": float((given.predictions[:, 0] - given.predictions[:, 1]).mean())}

    trainer = PreferenceTrainer(
        llama(), config(), make_pairs(4), make_pairs(3, seed=1), ref_model=llama(seed=1), compute_metrics=margin
    )
    found = trainer.evaluate()
    assert found["eval_margin"] == pytest.approx(found["eval_rewards/margins"], rel=1e-4)


def test_pairs_whose_reference_is_known_are_predicted_after_training_too(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    held_out = make_pairs(3, seed=1)
    options = config(num_train_epochs=5, dataloader_drop_last=True, per_device_eval_batch_size=2)
    trainer = PreferenceTrainer(llama(), options, make_pairs(4), held_out)
    assert trainer.predict(make_pairs(2, seed=5)).predictions == pytest.approx(np.zeros((2, 2)), abs=1e-4)
    trainer.train()
    predictions = trainer.predict(held_out).predictions
    assert predictions.shape == (3, 2), "an unfinished batch is predicted, too"
    assert np.abs(predictions).max() > 1e-4
    with pytest.raises(BadInput, match="the reference is gone once training has begun"):
        trainer.predict(make_pairs(2, seed=5))
    trainer = PreferenceTrainer(llama(), config(), make_pairs(4), held_out, ref_model=llama(seed=1))
    with pytest.raises(BadInput, match="gone once the trainer is made, as it was ref_model"):
        trainer.predict(make_pairs(2, seed=5))


def test_rows_are_no_pairs_and_it_says_what_makes_them(
    llama: MakeModel, config: MakeConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = datasets.Dataset.from_list([{"prompt": "Say hi", "chosen": "hi", "rejected": "no"}] * 2)
    for given in (rows, list(rows), {"a": rows}):
        with pytest.raises(BadInput, match=r"is no sequence of pairs: .*pairs_of\(ROWS, tokenizer, provenance\)"):
            PreferenceTrainer(llama(), config(), given)  # type: ignore[arg-type]
    found = pairs_of(rows, tokenizer, None)
    assert isinstance(found, Pairs)
    for pairs in (found, found.pairs):
        assert len(PreferenceTrainer(llama(), config(), pairs).train_dataset) == 2  # type: ignore[arg-type]


def test_a_pair_with_an_id_that_the_model_has_no_row_for_is_left_out(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    pairs = [*make_pairs(3, labeled=False), Pair("far", (5,), (6, 320), (7,))]
    with pytest.warns(DoubtfulOption, match="1 of 4 pairs have a token id beyond the model's vocabulary of 320"):
        assert len(PreferenceTrainer(llama(), config(), pairs).train_dataset) == 3


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_a_padding_token_that_the_model_has_no_row_for_is_no_hindrance(
    layout: str,
    llama: MakeModel,
    make_pairs: MakePairs,
    config: MakeConfig,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    import copy

    padded = copy.deepcopy(tokenizer)
    padded.add_special_tokens({"pad_token": "[PAD]"})
    model = llama(vocab_size=len(tokenizer), pad_token_id=-1)
    pairs = [Pair("a", (5, 6), (7, 8, 9), (10,)), Pair("b", (5,), (7,), (10, 11))]
    trainer = PreferenceTrainer(model, config(layout=layout), pairs, processing_class=padded)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    again = LlamaForCausalLM.from_pretrained(tmp_path / "saved")
    assert again.config.pad_token_id is None
    torch.testing.assert_close(again.lm_head.weight, trainer.model.lm_head.weight)


def test_a_batch_that_is_dropped_because_it_is_the_last_is_refused(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    options: dict[str, Any] = {"dataloader_drop_last": True, "per_device_train_batch_size": 8}
    with pytest.raises(BadInput, match="4 pairs are fewer than a batch of 8"):
        PreferenceTrainer(llama(), config(**options), make_pairs(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubtfulOption)
        PreferenceTrainer(llama(), config(**options), make_pairs(8))
