"""Token rewards by the policy as it is: the examples run, and labels of another version than asked for are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from benchmarks.harness.adapters import save_adapter
from benchmarks.harness.stack import running
from examples import on_policy_grpo, on_policy_preferences
from tokenreward import Client, label_dataset
from tokenreward.errors import BadInput
from tokenreward_trainer.data.labeled_pairs import load_pairs
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.training.model_labels import contrast_labels


@pytest.fixture(scope="module")
def url(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that serves the policy in float32, with adapters in a cache of its own."""
    folder = tmp_path_factory.mktemp("service")
    environment = {
        "TOKENREWARD_MODEL": str(policy),
        "TOKENREWARD_DTYPE": "float32",
        "TOKENREWARD_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    with running(folder, engine="transformers", **environment) as stack:
        yield stack.url


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "pairs.jsonl", 6)
    return tmp_path / "pairs.jsonl"


def test_the_service_labels_as_the_trainers_own_contrast_does(
    url: str, policy: Path, pairs: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    adapter = save_adapter(policy, tmp_path / "dpo", seed=5, r=8, lora_alpha=8)
    with Client(url) as client:
        put = client.adapters.put("dpo", adapter.folder)
        labeled = label_dataset(
            pairs, tmp_path / "labeled.jsonl", template="strong-weak", models={"policy": "dpo"}, client=client
        )
    assert labeled.provenance.models[0].name == f"dpo@{put.version}"
    served = load_pairs(labeled.path, tokenizer, scored_by=[f"dpo@{put.version}"]).pairs
    base = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32)
    own = contrast_labels(load_pairs(pairs, tokenizer).pairs, PeftModel.from_pretrained(base, adapter.folder))
    for ours, theirs in zip(own, served, strict=True):
        assert ours.chosen == theirs.chosen
        for a, b in (
            (ours.chosen_token_rewards, theirs.chosen_token_rewards),
            (ours.rejected_token_rewards, theirs.rejected_token_rewards),
        ):
            assert a is not None
            assert b is not None
            assert np.abs(a).max() > 0.01
            assert np.abs(a - b).max() < 1e-5
    with pytest.raises(BadInput, match=r"labeled by dpo@.*, and the labels of dpo@0000 were asked for"):
        load_pairs(labeled.path, tokenizer, scored_by=["dpo@0000"])


def test_each_round_is_labeled_by_the_adapter_as_it_was_put_for_it(
    url: str, policy: Path, pairs: Path, tmp_path: Path
) -> None:
    options = ["--model", str(policy), "--pairs", str(pairs), "--out", str(tmp_path / "out"), "--url", url, "--cpu"]
    versions = on_policy_preferences.main([*options, "--rounds", "3", "--size", "4", "--batch", "2"])
    assert len(set(versions)) == 3
    for number, version in enumerate(versions):
        meta = json.loads((tmp_path / "out" / f"round-{number}" / "labeled.jsonl.meta.json").read_text())
        use = meta["provenance"]["models"][0]["fingerprint"]
        assert f"{use['adapter']}@{use['adapter_version']}" == version


@pytest.mark.slow
def test_grpo_samples_are_labeled_by_the_version_that_was_put_last(url: str, policy: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {n} + {n}?", "privilege": f"{n} + {n} = {2 * n}."} for n in range(2, 6)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--model", str(policy), "--questions", str(tmp_path / "questions.jsonl"), "--out", str(tmp_path / "out")]
    versions = on_policy_grpo.main(
        [*options, "--url", url, "--steps", "4", "--every", "2", "--generations", "2", "--tokens", "8", "--cpu"]
    )
    assert len(versions) == 3
    assert versions[0] != versions[1]
