"""Recipes of several rounds, recipes that begin with SFT, and a whole recipe with labels from sibling answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from tokenreward.errors import BadInput
from tokenreward_trainer.pipeline import run_recipe
from tokenreward_trainer.pipeline.recipe import recipe_of

pytestmark = pytest.mark.trains

Row = dict[str, Any]


@pytest.fixture
def content(policy: Path, service: str, tmp_path: Path) -> Row:
    """A recipe that takes a few seconds: labels come from a service that runs already."""
    return {
        "run": {"directory": str(tmp_path / "run")},
        "model": {"name": str(policy), "dtype": "float32"},
        "prompts": {"sets": ["arithmetic:1", "format:1"], "count": 6},
        "sample": {"n": 4, "max_tokens": 8, "dtype": "float32"},
        "rank": {"scorer": "function:tests.support.brevity:brevity"},
        "label": {"url": service},
        "data": {"eval_share": 0.25, "max_length": 256, "max_prompt_length": 200},
        "train": {
            "learning_rate": 1e-3,
            "per_device_train_batch_size": 2,
            "use_cpu": True,
            "logging_steps": 1,
            "reference_cache": str(tmp_path / "cache"),
        },
        "report": {"samples": 2, "pairs": 1, "examples": 1},
    }


def stages(directory: Path) -> dict[str, Row]:
    return {stage["stage"]: stage for stage in json.loads((directory / "run.json").read_bytes())["stages"]}


def done(directory: Path) -> list[str]:
    return [name for name, stage in stages(directory).items() if stage["done"]]


def weights(folder: Path) -> torch.Tensor:
    found = LlamaForCausalLM.from_pretrained(folder).lm_head.weight
    assert isinstance(found, torch.Tensor)
    return found.detach()


@pytest.mark.parametrize("rank", [0, 2], ids=["all-weights", "lora"])
def test_each_round_samples_from_what_the_one_before_has_trained(rank: int, content: Row, tmp_path: Path) -> None:
    content = content | {"run": content["run"] | {"rounds": 2}, "lora": {"r": rank}}
    report = run_recipe(recipe_of(content), progress=False)
    found, directory = stages(report.parent), report.parent
    rounds = ["sample", "rank", "label", "train"]
    assert list(found) == ["prompts", *rounds, *(f"{name}-2" for name in rounds), "report"]
    first = directory / found["train"]["folder"]
    policy = json.loads((first / "policy.json").read_bytes())
    assert policy["folder"] == ("merged" if rank else "model")
    meta = json.loads((directory / found["sample-2"]["folder"] / "samples.jsonl.meta.json").read_bytes())
    assert policy["hash"] in json.dumps(meta)
    assert "<h2>Rounds</h2>" in report.read_text()
    if not rank:
        second = directory / found["train-2"]["folder"] / "model"
        assert not torch.equal(weights(second), weights(first / "model"))

    run_recipe(recipe_of(content), progress=False)
    assert done(directory) == []
    run_recipe(recipe_of(content | {"train": content["train"] | {"learning_rate": 1e-4}}), progress=False)
    assert {"train", "sample-2", "train-2"} <= {*done(directory)}


def test_a_recipe_can_begin_with_sft_on_conversations(content: Row, tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    rows = [json.dumps({"id": str(number), "messages": talk}) + "\n" for number in range(4)]
    (tmp_path / "talks.jsonl").write_text("".join(rows))
    train = {"learning_rate": 1e-5, "use_cpu": True, "num_train_epochs": 2}
    content = content | {"sft": {"file": str(tmp_path / "talks.jsonl"), "train": train}}
    directory = run_recipe(recipe_of(content), progress=False).parent
    found = stages(directory)
    assert list(found)[:3] == ["prompts", "sft", "sample"]
    assert found["sft"]["summary"].startswith("SFT on 4 responses")
    sft = directory / found["sft"]["folder"]
    hashed = json.loads((sft / "policy.json").read_bytes())["hash"]
    meta = (directory / found["sample"]["folder"] / "samples.jsonl.meta.json").read_text()
    assert hashed in meta
    record = json.loads((directory / found["train"]["folder"] / "model" / "run.json").read_bytes())
    assert record["name"] == "DPO"


def test_a_whole_recipe_labels_with_sibling_answers(content: Row) -> None:
    content = content | {
        "label": content["label"] | {"estimator": "rlcsd", "parameters": {"k": 2}},
        "train": content["train"] | {"reg_alpha": 0.25, "reg_scale": "labels"},
    }
    directory = run_recipe(recipe_of(content), progress=False).parent
    found = stages(directory)
    labeled = directory / found["label"]["folder"] / "labeled.jsonl"
    rows = [json.loads(line) for line in labeled.read_bytes().splitlines()]
    rewards = [value for row in rows for side in ("chosen", "rejected") for value in row[f"{side}_token_rewards"] or ()]
    assert max(map(abs, rewards)) > 0.01
    provenance = json.loads(labeled.with_name("labeled.jsonl.meta.json").read_bytes())["provenance"]
    assert (provenance["estimator"], provenance["template"]) == ("rlcsd", "siblings")
    record = json.loads((directory / found["train"]["folder"] / "model" / "run.json").read_bytes())
    assert record["name"] == "DPO-REG"
    assert record["options"]["label_std"] > 0


@pytest.mark.parametrize(
    ("section", "options", "says"),
    [
        ("run", {"rounds": 0}, "run.rounds = 0"),
        ("sft", {"file": "x.jsonl", "train": {"method": "dpo"}}, "this stage's method is 'sft'"),
        ("sft", {"file": "x.jsonl", "train": {"lerning_rate": 1}}, "lerning_rate"),
        ("sft", {"file": "x.jsonl", "train": {"output_dir": "x"}}, "sft.train.output_dir is the run's own"),
        ("label", {"score": "some"}, "label.score = 'some'"),
    ],
)
def test_a_wrong_option_of_rounds_and_sft_is_named(section: str, options: Row, says: str, content: Row) -> None:
    with pytest.raises(BadInput, match=says):
        recipe_of(content | {section: content.get(section, {}) | options})
