"""Recipes that end with RTO: PPO with the trained policy's log-ratio as dense rewards."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from tests.trainer.test_pipeline_rounds import Row, content, done, stages, weights
from tokenreward.errors import BadInput
from tokenreward_trainer.pipeline import read_recipe, run_recipe
from tokenreward_trainer.pipeline.recipe import recipe_of
from tokenreward_trainer.pipeline.stages import label, rto

pytestmark = pytest.mark.trains

__all__ = ["content"]  # the fixture

RTO: Row = {
    "sample": {"n": 2, "max_tokens": 8},
    "ppo": {"iterations": 2, "prompts": 4, "minibatch": 4, "learning_rate": 1e-3, "use_cpu": True},
}


def test_rto_starts_where_the_training_did_and_takes_its_log_ratio(content: Row, tmp_path: Path, policy: Path) -> None:
    report = run_recipe(recipe_of(content | {"rto": RTO}), progress=False)
    found, directory = stages(report.parent), report.parent
    assert list(found)[-3:] == ["train", "rto", "report"]
    model = directory / found["rto"]["folder"] / "model"
    record = json.loads((model / "run.json").read_bytes())
    assert record["name"] == "RTO"
    assert record["options"]["scorer"] == content["rank"]["scorer"]
    assert found["train"]["folder"] in record["labels"]
    assert record["log"][0]["kl"] == pytest.approx(0, abs=1e-3), "it starts from its reference"
    assert not torch.equal(weights(model), weights(policy))
    assert "<h2>RTO</h2>" in report.read_text()

    run_recipe(recipe_of(content | {"rto": RTO}), progress=False)
    assert done(directory) == []
    AcceleratorState._reset_state(reset_partial_state=True)
    Accelerator(mixed_precision="bf16", cpu=True)  # as a training in bfloat16 leaves it in this process
    longer = RTO | {"ppo": RTO["ppo"] | {"iterations": 3}}
    run_recipe(recipe_of(content | {"rto": longer}), progress=False)
    assert done(directory) == ["rto", "report"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rewards": {"dpo": "./mine"}}, "rto.rewards.dpo is what the recipe trains"),
        ({"rewards": {"source": "service"}}, r"\[rto\] rewards.source = 'service' and rewards.url go together"),
        ({"ppo": {"iteration": 2}}, "unknown option rto.ppo.iteration .did you mean iterations"),
        ({"ppo": {"prompts": 32}}, "rto.ppo.prompts = 32 an iteration, and there are 6 prompts"),
        ({"ppo": {"clip": 2.0}}, "rto.ppo.clip = 2.0"),
    ],
)
def test_a_wrong_option_is_named_before_anything_is_done(content: Row, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        run_recipe(recipe_of(content | {"rto": options}), progress=False)
    assert not (Path(content["run"]["directory"]) / "stages").exists()


def test_a_file_with_too_few_prompts_is_refused_before_anything_is_done(content: Row, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"prompt": "Hi"}) + "\n")
    with pytest.raises(BadInput, match=r"rto\.ppo\.prompts = 4 an iteration, and there are 1 prompts"):
        rto.checked(recipe_of(content | {"prompts": {"file": str(path)}, "rto": RTO}))


def test_an_edited_scorer_is_another_run(content: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for body in ("return [0.0]", "return [1.0]"):
        (tmp_path / "own_rewards.py").write_text(f"def score(prompt, responses):\n    {body}\n")
        sys.modules.pop("own_rewards", None)
        importlib.invalidate_caches()
        recipe = recipe_of(content | {"rto": RTO | {"rewards": {"scorer": "function:own_rewards:score"}}})
        found.append(rto.options(recipe, "policy")["scorer"])
    assert found[0] != found[1]


def test_an_adapter_that_was_trained_again_is_other_labels(content: Row, policy: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "dpo"
    adapter.mkdir()
    found = []
    for weights_now in (b"first", b"second"):
        (adapter / "adapter_model.safetensors").write_bytes(weights_now)
        section = content["label"] | {"url": None, "serve": ["--adapter", f"dpo={adapter}"]}
        found.append(label.options(recipe_of(content | {"label": section}), "policy"))
    assert found[0] != found[1]


def test_options_of_tables_within_tables_are_given_on_the_command_line() -> None:
    recipe = read_recipe("demo", ["--model.name", "m", "--rto.ppo.iterations", "5", "--rto.rewards.kl=0.1"])
    assert recipe.rto is not None
    assert (recipe.rto.ppo.iterations, recipe.rto.rewards.kl) == (5, 0.1)
