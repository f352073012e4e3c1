"""Options that make no sense together are errors that name the option; doubtful ones are warnings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tokenreward.errors import BadInput, UnknownName
from tokenreward_trainer.doubtful import DoubtfulOption
from tokenreward_trainer.training.config import PreferenceConfig

MakeConfig = Callable[..., PreferenceConfig]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "ppo"}, "known: dpo, simpo, wpo, ipo, hinge, robust, cpo"),
        ({"method": "tdpo"}, "say 'tdpo1' or 'tdpo2'"),
        ({"weighting": "none"}, "unknown weighting"),
        ({"reference": "cached"}, "unknown reference"),
        ({"layout": "flash"}, "unknown layout"),
        ({"beta": 0}, "beta = 0 must be above 0"),
        ({"beta": float("nan")}, "beta = nan must be above 0"),
        ({"beta": float("inf")}, "beta = inf"),
        ({"reg_alpha": -0.1}, "reg_alpha = -0.1 must be 0 or more"),
        ({"reg_alpha": float("nan")}, "reg_alpha = nan"),
        ({"sft_weight": -1}, "sft_weight"),
        ({"method": "sepo", "sepo_fraction": 0}, "sepo_fraction = 0"),
        ({"method": "sepo", "sepo_fraction": 30}, "sepo_fraction = 30 must be above 0 and at most 1"),
        ({"forward_tokens": -1}, "forward_tokens"),
        ({"gamma_ratio": 0.5}, "gamma_ratio belongs to method = 'simpo', 'confpo'"),
        ({"label_smoothing": 0.5}, "label_smoothing = 0.5 must be 0 or more and below 0.5"),
        ({"method": "ipo", "label_smoothing": 0.1}, "label_smoothing belongs to method = 'dpo'"),
        ({"method": "robust"}, "say how many labels are wrong"),
        ({"method": "kto", "per_device_train_batch_size": 1}, "take 2 or more"),
        ({"method": "kto", "reference": "precompute"}, "use reference = 'live'"),
        ({"method": "kto", "desirable_weight": -1}, "desirable_weight = -1 must be 0 or more"),
        ({"method": "tisdpo", "tis_scale": 3}, "makes some token weights negative"),
        ({"method": "ipo", "reg_alpha": 0.25}, "no weight for the regulariser has been derived"),
        ({"method": "tdpo1", "tdpo_alpha": 0.5}, "tdpo_alpha belongs to method = 'tdpo2'"),
        ({"sepo_fraction": 0.3}, "sepo_fraction belongs to method = 'sepo'"),
        ({"method": "tdpo2", "reg_alpha": 0.25}, "no weight for the regulariser has been derived"),
        ({"method": "tdpo1", "reg_alpha": 0.25}, "Set reg_alpha = 0, or use dpo, simpo, wpo, hinge, robust or cpo"),
        ({"method": "sepo", "reg_alpha": 0.25}, "reg_alpha = 0.25 with method = 'sepo'"),
        ({"weighting": "static"}, "set reg_alpha"),
        ({"reg_scale": "relative", "reg_alpha": 0.25}, "unknown reg_scale 'relative'"),
        ({"reg_scale": "labels"}, "set reg_alpha"),
        ({"method": "sft", "beta": 0.1}, "beta = 0.1 would do nothing with method = 'sft'"),
        ({"method": "sft", "sft_weight": 0.1}, "sft_weight = 0.1 would do nothing"),
        ({"method": "sft", "reg_alpha": 0.25}, "no weight for the regulariser has been derived"),
        ({"reference": "none"}, "compares with a reference model"),
        ({"method": "tdpo2", "reference": "precompute"}, "use reference = 'live'"),
        ({"method": "simpo", "reference": "live"}, "use 'none', or 'precompute'"),
        ({"method": "sft", "reference": "live"}, "never looks at: use 'none'$"),
        ({"method": "sft", "reference": "precompute"}, "compares nothing: use 'none'"),
        ({"train_sampling_strategy": "group_by_length"}, "leave it at 'random'"),
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor = 0.1 smooths the labels of a cross-entropy"),
        ({"neftune_noise_alpha": 5.0}, "neftune_noise_alpha = 5.0"),
        ({"use_liger_kernel": True}, "replaces the model's forward pass"),
        ({"torch_compile": True}, "torch_compile = True"),
        ({"torch_compile_mode": "default"}, "torch_compile_mode = 'default'"),
        ({"include_num_input_tokens_seen": "all"}, "include_num_input_tokens_seen = 'all'"),
        ({"include_num_input_tokens_seen": True}, "leave it at 'no'"),
        ({"include_for_metrics": ["inputs"]}, "include_for_metrics = 'inputs'"),
        ({"label_names": ["labels"]}, "label_names"),
        ({"length_column_name": "tokens"}, "leave it at 'length'"),
        ({"average_tokens_across_devices": False}, "leave it at True"),
        ({"use_cache": True}, "use_cache = True"),
        ({"bf16_full_eval": True}, "rounds the weights themselves"),
        ({"fp16_full_eval": True}, "rounds the weights themselves"),
        ({"prediction_loss_only": True}, "leaves out the rewards of held-out pairs"),
        ({"eval_do_concat_batches": False}, "batch by batch"),
        ({"dataloader_in_order": False}, "in another order"),
        ({"do_predict": True}, "call PreferenceTrainer.predict"),
        ({"accelerator_config": {"dispatch_batches": True}}, "dispatch_batches"),
        ({"report_to": "wandbb"}, "unknown report_to 'wandbb'.*known: none, all, azure_ml"),
        ({"report_to": ["none", "nothing"]}, "unknown report_to"),
        ({"report_to": "clearml"}, "it is not installed"),
        ({"learning_rate": float("nan")}, "learning_rate = nan must be 0 or more"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size = 0 must be 1 or more"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps = 0"),
        ({"num_train_epochs": 0}, "num_train_epochs = 0 must be above 0"),
        ({"max_steps": 0}, "max_steps = 0 must be 1 or more"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_names_the_option(
    options: dict[str, Any], message: str, config: MakeConfig
) -> None:
    with pytest.raises(BadInput, match=message.replace("(", r"\(")):
        config(**options)


def test_an_unknown_name_is_an_error_of_its_own_kind(config: MakeConfig) -> None:
    with pytest.raises(UnknownName):
        config(method="ppo")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reg_alpha": 5.0}, "far above the paper's range"),
        ({"reg_alpha": 2.0, "reg_scale": "labels"}, "an ordinary label pulls harder than the preference loss"),
        ({"method": "simpo", "beta": 0.1}, "is a DPO value"),
        ({"method": "dpo", "beta": 10.0}, "is a SimPO value"),
    ],
)
def test_what_is_doubtful_is_a_warning_that_says_what_to_do(
    options: dict[str, Any], message: str, config: MakeConfig
) -> None:
    with pytest.warns(DoubtfulOption, match=message):
        config(**options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reg_alpha": 0.25},
        {"reg_alpha": 0.5, "weighting": "static", "sft_weight": 0.1},
        {"method": "simpo", "beta": 10.0, "gamma_ratio": 0.3, "reg_alpha": 0.25},
        {"method": "wpo", "reference": "live"},
        {"method": "tdpo2", "tdpo_alpha": 0.5},
        {"method": "sepo", "sepo_fraction": 0.3},
        {"method": "ipo", "beta": 2.0},
        {"method": "robust", "label_smoothing": 0.1, "reg_alpha": 0.25},
        {"method": "kto", "undesirable_weight": 1.33},
        {"method": "cpo", "cpo_alpha": 0.5, "label_smoothing": 0.0},
        {"train_sampling_strategy": "sequential", "include_for_metrics": ["loss"], "report_to": None},
    ],
)
def test_what_is_right_is_silent(options: dict[str, Any], config: MakeConfig) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DoubtfulOption)
        config(**options)


def test_each_method_takes_its_own_beta_and_reference(config: MakeConfig) -> None:
    found = {
        name: (config(method=name).hyperparameters.beta, config(method=name).reference_mode)
        for name in ("dpo", "simpo", "wpo", "tdpo2", "sepo", "kto", "orpo", "confpo")
    }
    assert found == {
        "dpo": (0.1, "precompute"),
        "simpo": (2.5, "none"),
        "wpo": (0.01, "precompute"),
        "tdpo2": (0.1, "live"),
        "sepo": (1.0, "none"),
        "kto": (0.1, "live"),
        "orpo": (0.1, "none"),
        "confpo": (2.5, "none"),
    }
    assert config(method="simpo", beta=10.0, gamma_ratio=0.3).hyperparameters.gamma == pytest.approx(3.0)
