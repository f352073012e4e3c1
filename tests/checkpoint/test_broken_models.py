"""A fuzz over broken folders: worker, vLLM's check, sampler, trainer and scorer refuse each of them in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForSequenceClassification

from benchmarks.harness.broken_models import damages, outcome
from tests.support.tiny_checkpoint import chat_tokenizer, save_checkpoint
from tests.support.tiny_models import build_llama
from tokenreward.checkpoint.keys import check_keys
from tokenreward_trainer.sampling.engines.transformers import TransformersEngine as Sampler
from tokenreward_trainer.sampling.requests import Policy
from tokenreward_trainer.sampling.settings import Sampling
from tokenreward_trainer.scorers.reward_model import RewardModel
from tokenreward_trainer.training.model_loading import check_models, load_model, load_tokenizer
from tokenreward_trainer.training.settings import Model, Run
from tokenreward_workers.engines import EngineSettings, load_engine
from tokenreward_workers.model_files.resolve import resolve_model


def serve(folder: Path) -> None:
    path = resolve_model(str(folder)).path
    load_engine("transformers", path, EngineSettings(dtype="float32")).engine.close()


def sample(folder: Path) -> None:
    policy = Policy.load(str(folder))
    Sampler(policy.name, Sampling(dtype="float32"), policy.stops)


def train(folder: Path) -> None:
    section = Model(name=str(folder))
    check_models(Run(model=section))
    load_tokenizer(str(folder))
    load_model(str(folder), section)


def reward(folder: Path) -> None:
    RewardModel(str(folder))


@pytest.mark.parametrize("load", [serve, check_keys, sample, train, reward])
def test_every_damage_is_refused_in_one_line(load: Callable[[Path], Any], tmp_path: Path) -> None:
    whole = save_checkpoint(tmp_path / "whole")
    if load is reward:
        config = build_llama(num_hidden_layers=1, vocab_size=len(chat_tokenizer())).config
        config.num_labels = 1
        shutil.rmtree(whole)
        LlamaForSequenceClassification(config).save_pretrained(whole)
        chat_tokenizer().save_pretrained(whole)
    assert outcome(load, whole) == "served"
    tried = 0
    for damage in damages(whole, tmp_path / "broken"):
        became = outcome(load, tmp_path / "broken")
        assert became != "served" or not damage.refused, damage.what
        tried += 1
    assert tried > 60
