"""The trainer around the losses: references, adapters, metrics, evaluation, and what it refuses."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.model.scorable import make_scorable
from tokenreward_trainer.training import reference_logps as reference
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.trainer import PreferenceTrainer

pytestmark = pytest.mark.trains

MakeConfig = Callable[..., PreferenceConfig]
MakeModel = Callable[..., PreTrainedModel]
MakePairs = Callable[..., list[Pair]]


def lora() -> Any:
    from peft import LoraConfig

    return LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


def losses(trainer: PreferenceTrainer) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_training_makes_the_chosen_completions_likelier_than_the_rejected(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    trainer = PreferenceTrainer(llama(), config(num_train_epochs=4), make_pairs(16))
    trainer.train()
    first, *_, last, _ = trainer.state.log_history
    assert first["rewards/margins"] == 0
    assert last["rewards/margins"] > 0.3
    assert last["rewards/accuracies"] == 1


def test_the_regulariser_pulls_the_learned_token_rewards_towards_the_labels(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    found = {}
    for alpha, weighting in ((0.0, "dynamic"), (1.0, "static")):
        options = config(num_train_epochs=4, reg_alpha=alpha, weighting=weighting)
        trainer = PreferenceTrainer(llama(), options, make_pairs(16))
        trainer.train()
        found[alpha] = trainer.state.log_history[-2]["token_rewards/correlation"]
    assert found[1.0] > found[0.0] + 0.2


def test_precomputed_and_live_references_train_the_same(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    once = losses(PreferenceTrainer(llama(), config(reference="precompute", num_train_epochs=2), make_pairs(8)))
    live = losses(PreferenceTrainer(llama(), config(reference="live", num_train_epochs=2), make_pairs(8)))
    assert once == pytest.approx(live, rel=1e-4)
    assert once[-1] < once[0]


def test_an_adapters_reference_is_its_base_model(llama: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> None:
    found = {}
    for mode in ("precompute", "live"):
        torch.manual_seed(0)
        trainer = PreferenceTrainer(
            llama(), config(reference=mode, num_train_epochs=2), make_pairs(8), peft_config=lora()
        )
        assert trainer.ref_model is None
        found[mode] = losses(trainer)
        trained = [name for name, p in trainer.model.named_parameters() if p.requires_grad]
        assert trained
        assert all("lora_" in name for name in trained)
    assert found["precompute"] == pytest.approx(found["live"], rel=1e-4)
    assert found["live"][-1] < found["live"][0]


def test_adapters_train_with_gradient_checkpointing(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        options = config(reg_alpha=0.25, gradient_checkpointing=checkpointing)
        found.append(losses(PreferenceTrainer(llama(), options, make_pairs(8), peft_config=lora())))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_gemma_2_trains(gemma: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> None:
    options = config(method="simpo", reg_alpha=0.25, num_train_epochs=3)
    found = losses(PreferenceTrainer(gemma(), options, make_pairs(8)))
    assert found[-1] < found[0]


@pytest.mark.parametrize("method", ["tdpo1", "tdpo2"])
def test_tdpo_starts_without_divergence(
    method: str, llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    trainer = PreferenceTrainer(llama(), config(method=method), make_pairs(8))
    first, second = losses(trainer)[:2]
    assert first == pytest.approx(0.6931, abs=1e-4)
    assert second != first


def test_reference_log_probs_are_computed_once_for_the_same_weights_and_pairs(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    original = reference.score_pairs

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return original(*args, **kwargs)

    monkeypatch.setattr(reference, "score_pairs", counted)
    for expected, model, pairs in (
        (1, llama(), make_pairs(6)),
        (1, llama(), make_pairs(6)),  # Again: read from the cache.
        (1, llama(), make_pairs(6, labeled=False)),  # Labels are no part of it.
        (2, llama(seed=1), make_pairs(6)),  # Other weights.
        (3, llama(), make_pairs(6, seed=1)),  # Other pairs.
        (4, llama(), make_pairs(6)),  # Another arithmetic.
    ):
        trainer = PreferenceTrainer(model, config(bf16=expected == 4), pairs)
        assert calls == expected
        assert trainer.train_dataset.ref_logps is not None
        for pair, (chosen, rejected) in zip(pairs, trainer.train_dataset.ref_logps, strict=True):
            assert chosen.shape == (len(pair.chosen),)
            assert rejected.shape == (len(pair.rejected),)


def test_labeled_and_unlabeled_pairs_are_scored_together(llama: MakeModel, make_pairs: MakePairs) -> None:
    model = llama()
    make_scorable(model)
    labeled, plain = make_pairs(6), make_pairs(6, labeled=False)
    mixed = [*labeled[:3], *plain[3:]]

    expected = reference.score_pairs(model, plain, layout="packed", max_tokens=4096)
    for mixture in (mixed, mixed[::-1]):
        found = reference.score_pairs(model, mixture, layout="packed", max_tokens=4096)
        for one, other in zip(found if mixture is mixed else found[::-1], expected, strict=True):
            np.testing.assert_allclose(one[0], other[0], rtol=1e-5)
            np.testing.assert_allclose(one[1], other[1], rtol=1e-5)


def test_a_broken_write_leaves_no_cache_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, llama: MakeModel) -> None:
    def fail(*args: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(reference, "save_file", fail)
    model = llama()
    make_scorable(model)
    with pytest.raises(OSError, match="no space"):
        reference.reference_logps(
            model, [Pair("a", (5,), (6,), (7,))], layout="packed", max_tokens=100, cache=tmp_path / "cache"
        )
    assert list((tmp_path / "cache").iterdir()) == []


def test_evaluation_reports_the_same_metrics_under_its_own_names(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    options = config(reg_alpha=0.25, per_device_eval_batch_size=3)
    trainer = PreferenceTrainer(llama(), options, make_pairs(8), make_pairs(7, seed=1))
    trainer.train()
    found = trainer.evaluate()
    assert 0 <= found["eval_rewards/accuracies"] <= 1
    parts = found["eval_loss/preference"] + found["eval_loss/regularizer"]
    assert found["eval_loss"] == pytest.approx(parts, rel=1e-5)  # Also over an uneven last batch.
    assert -1 <= found["eval_token_rewards/correlation"] <= 1


def test_other_pairs_are_evaluated_where_the_reference_is_still_there(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    other = make_pairs(3, seed=2)
    for trainer in (
        PreferenceTrainer(llama(), config(reference="live"), make_pairs(4)),
        PreferenceTrainer(llama(), config(), make_pairs(4), peft_config=lora()),
    ):
        assert "eval_rewards/margins" in trainer.evaluate(other)
    gone = PreferenceTrainer(llama(), config(), make_pairs(4), ref_model=llama(seed=1))
    with pytest.raises(BadInput, match="give eval_dataset when the trainer is made"):
        gone.evaluate(other)


def test_training_under_autocast_keeps_log_probs_in_float32(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    pairs = make_pairs(8)
    plain = PreferenceTrainer(llama(), config(method="simpo", reg_alpha=0.25), pairs)
    mixed = PreferenceTrainer(llama(), config(method="simpo", reg_alpha=0.25, bf16=True), pairs)
    assert losses(mixed) == pytest.approx(losses(plain), rel=0.05)
    assert next(mixed.model.parameters()).dtype == torch.float32


def test_weights_too_coarse_for_small_steps_get_a_warning(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    with pytest.warns(DoubtfulOption, match="load the model in float32"):
        PreferenceTrainer(llama(torch.bfloat16), config(), make_pairs(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubtfulOption)
        PreferenceTrainer(llama(torch.bfloat16), config(), make_pairs(2), peft_config=lora())


def test_metrics_are_means_over_all_pairs_since_the_last_log(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    options = {"num_train_epochs": 1, "learning_rate": 0.0, "reg_alpha": 0.25, "beta": 0.3}
    pairs = make_pairs(8)
    fine = PreferenceTrainer(llama(), config(**options), pairs, ref_model=llama(seed=1))
    fine.train()
    coarse = PreferenceTrainer(llama(), config(**options, logging_steps=2), pairs, ref_model=llama(seed=1))
    coarse.train()
    one, two, _ = fine.state.log_history
    both, _ = coarse.state.log_history
    for name in ("rewards/margins", "loss/preference", "loss/regularizer", "weight", "logps/rejected"):
        assert both[name] == pytest.approx((one[name] + two[name]) / 2, rel=1e-3)


def test_pairs_without_labels_are_refused_where_labels_are_needed(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    with pytest.raises(BadInput, match=r"reg_alpha = 0\.25 needs token rewards, and 4 of 4 pairs"):
        PreferenceTrainer(llama(), config(reg_alpha=0.25), make_pairs(4, labeled=False))
    with pytest.raises(BadInput, match="method = 'sepo' needs token rewards"):
        PreferenceTrainer(llama(), config(method="sepo"), make_pairs(4, labeled=False))
    with pytest.raises(BadInput, match="4 of 6 pairs have no token rewards"):
        PreferenceTrainer(llama(), config(), make_pairs(2) + make_pairs(4, labeled=False))
    PreferenceTrainer(llama(), config(), make_pairs(4, labeled=False)).train()


def test_an_empty_data_set_is_refused(llama: MakeModel, config: MakeConfig) -> None:
    with pytest.raises(BadInput, match="no pairs"):
        PreferenceTrainer(llama(), config(), [])


def test_the_policy_is_no_reference_for_itself(llama: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> None:
    model = llama()
    with pytest.raises(BadInput, match="ref_model"):
        PreferenceTrainer(model, config(), make_pairs(2), ref_model=model)


def test_an_adapter_that_has_been_trained_gets_a_warning(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    from peft import get_peft_model

    model = get_peft_model(llama(), lora())
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubtfulOption)
        PreferenceTrainer(model, config(), make_pairs(2))  # A new one: silent.
    for name, p in model.named_parameters():
        if "lora_B" in name:
            p.data.fill_(0.1)
    with pytest.warns(DoubtfulOption, match="adapter is not new"):
        PreferenceTrainer(model, config(), make_pairs(2))


def test_a_policy_that_has_not_moved_shows_no_learned_rewards_under_autocast(
    llama: MakeModel, make_pairs: MakePairs, config: MakeConfig
) -> None:
    trainer = PreferenceTrainer(llama(), config(bf16=True), make_pairs(6))
    assert trainer.train_dataset.ref_logps is not None
    for now, before in zip(trainer.token_logps(make_pairs(6)), trainer.train_dataset.ref_logps, strict=True):
        np.testing.assert_array_equal(np.concatenate(now), np.concatenate(before))


def test_flash_attention_is_refused_with_a_reason(llama: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> None:
    model = llama()
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(BadInput, match="attention = 'flash_attention_2' runs in 16 bits"):
        PreferenceTrainer(model, config(), make_pairs(2))


def test_dropout_is_off_unless_asked_for(llama: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> None:
    from peft import LoraConfig

    noisy = LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=0.5)
    with pytest.warns(DoubtfulOption, match=r"the adapter's dropout of 0\.5 is off"):
        off = PreferenceTrainer(llama(), config(), make_pairs(2), peft_config=noisy)
    assert all(m.p == 0 for m in off.model.modules() if isinstance(m, torch.nn.Dropout))
    on = PreferenceTrainer(llama(), config(disable_dropout=False), make_pairs(2), peft_config=noisy)
    assert any(m.p == 0.5 for m in on.model.modules() if isinstance(m, torch.nn.Dropout))


def test_the_regulariser_adds_no_forward_pass(llama: MakeModel, make_pairs: MakePairs, config: MakeConfig) -> None:
    counts = []
    for alpha in (0.0, 0.25):
        trainer = PreferenceTrainer(llama(), config(reg_alpha=alpha, max_steps=2), make_pairs(8))
        calls: list[int] = []
        trainer.model.model.register_forward_hook(lambda *_, seen=calls: seen.append(1))
        trainer.train()
        counts.append(len(calls))
    assert counts[0] == counts[1] > 0
