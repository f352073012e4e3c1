"""Every method trains a tiny model on the demo's pairs, and says in run.json what it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tests.support.tiny_models import NEEDS
from tokenreward_trainer.losses import METHODS
from tokenreward_trainer.prompts.demo_pairs import write_pairs
from tokenreward_trainer.training.run import train_run
from tokenreward_trainer.training.settings import run_of

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    from tests.support.tiny_models import build_llama

    path = tmp_path_factory.mktemp("model")
    build_llama().save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


#: Distillation needs a teacher's labels; test_opd trains it.
_TRAINED = sorted(name for name, method in METHODS.items() if not method.teacher)


@pytest.mark.parametrize("method", _TRAINED)
def test_a_method_learns_its_own_objective_on_the_demos_pairs(method: str, model: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 8)
    options: dict[str, Any] = {
        "method": method,
        "output_dir": str(tmp_path / "out"),
        "reference_cache": str(tmp_path / "cache"),
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
        "per_device_train_batch_size": 4,
        "num_train_epochs": 4,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "logging_steps": 2,
    }
    run = {
        "model": {"name": str(model), "dtype": "float32"},
        "data": {"train": str(tmp_path / "pairs.jsonl")},
        "labels": {"source": "surprisal"},
        "train": options | NEEDS.get(method, {}),
    }
    train_run(run_of(run))
    record = json.loads((tmp_path / "out" / "run.json").read_bytes())
    assert record["name"] == METHODS[method].shown
    assert METHODS[method].options - {"gamma_ratio"} <= record["options"].keys()
    losses = [entry["loss"] for entry in record["log"] if "loss" in entry]
    assert losses[-1] < losses[0]
    LlamaForCausalLM.from_pretrained(tmp_path / "out")


def test_every_method_stands_in_the_docs_with_its_source_its_gradient_and_its_test() -> None:
    page = (Path(__file__).parents[2] / "docs" / "methods.md").read_text("utf-8")
    table = page.split("## Every method")[1].split("\n## ")[0]
    rows = {row.split("|")[1].strip().strip("`"): row for row in table.splitlines() if row.startswith("| `")}
    for name in METHODS:
        assert "arXiv" in rows[name], name
        assert "tests/trainer/test_" in rows[name], name
        assert len(rows[name].split("|")) == 6, name
