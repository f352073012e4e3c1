"""Recipes whose labels several models give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.harness.adapters import save_adapter
from tests.trainer.test_pipeline_rounds import Row, content, stages
from tokenreward import Client
from tokenreward_trainer.pipeline import run_recipe
from tokenreward_trainer.pipeline.recipe import recipe_of
from tokenreward_trainer.pipeline.stages import label

pytestmark = pytest.mark.trains

__all__ = ["content"]  # the fixture


def test_a_branch_is_scored_by_the_adapter_that_the_recipe_names(
    content: Row, tmp_path: Path, policy: Path, service: str
) -> None:
    adapter = save_adapter(policy, tmp_path / "dpo", target_modules=["q_proj", "v_proj"])
    options = {"template": "strong-weak", "estimator": "rto", "models": {"policy": f"dpo@{adapter.version}"}}
    with Client(service) as client:
        client.adapters.put("dpo", adapter.folder)
        run_recipe(recipe_of(content | {"label": content["label"] | options}), progress=False)
        client.adapters.delete("dpo")
    folder = tmp_path / "run" / stages(tmp_path / "run")["label"]["folder"]
    provenance = json.loads((folder / "labeled.jsonl.meta.json").read_bytes())["provenance"]
    used = {tuple(use["branches"]): use["fingerprint"].get("adapter_version") for use in provenance["models"]}
    assert used == {("better",): adapter.version, ("worse",): None}


def test_a_recipe_that_names_no_models_keeps_what_older_versions_have_labeled(content: Row) -> None:
    assert "models" not in label.options(recipe_of(content), "policy")
    named = recipe_of(content | {"label": content["label"] | {"models": {"better": "dpo"}}})
    assert label.options(named, "policy")["models"] == {"better": "dpo"}
