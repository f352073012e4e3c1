"""The GPU benchmark on the CPU with a tiny shape: what a GPU machine will run is run here, at another size."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from _work import workload
from gpu_labeling import SHAPES, build, measured

from tokenreward.chat_format import ChatFormat
from tokenreward_workers.rendering import Renderer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpu") / "tiny"
    build(SHAPES["tiny"], path)
    return path


@pytest.mark.parametrize("engine", ["transformers", "plain_transformers"])
def test_an_engine_scores_a_checkpoint_of_random_weights(
    model: Path, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # for so small a model a second thread is only to be waited for
    config = json.loads((model / "config.json").read_text("utf-8"))
    work = workload("best_of_5", Renderer(ChatFormat.load(model), 4096, config["vocab_size"]), 3000)
    work.save(tmp_path / "best_of_5.jsonl")
    figures = measured(engine, model, tmp_path, {"best_of_5": work}, 1, config, peak=1e12)
    assert f"{engine}_absent" not in figures
    assert figures[f"best_of_5_{engine}_tokens_per_s"] > 0
    assert 0 < figures[f"best_of_5_{engine}_mfu"] < 1


def test_what_branches_and_responses_share_is_counted_once(model: Path) -> None:
    config = json.loads((model / "config.json").read_text("utf-8"))
    renderer = Renderer(ChatFormat.load(model), 4096, config["vocab_size"])
    best_of_5, long_response = (workload(name, renderer, 3000) for name in ("best_of_5", "long_response"))
    shares = [work.plain_flops(config) / work.flops(config) for work in (best_of_5, long_response)]
    assert shares[0] > shares[1] > 1


def test_an_engine_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    figures = measured("transformers", tmp_path, tmp_path, {}, 1, {}, peak=1.0)
    assert "transformers_absent" in figures
