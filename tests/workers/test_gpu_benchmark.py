"""The GPU benchmark on the CPU with toy models: what a GPU machine will run is run here, at another size."""

from __future__ import annotations

import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks._work import Work, workload
from benchmarks.flops_simulation import BlockCache, engine_flops
from benchmarks.gpu_correct import compared
from benchmarks.gpu_dummy_weights import install
from benchmarks.gpu_models import SHAPES
from benchmarks.harness.waiting import OVERRIDE
from tokenreward_workers.rendering import Renderer
from tokenreward_workers.scoring import Row


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of one run of all parts."""
    out = tmp_path_factory.mktemp("gpu")
    assert gpu.main(["--tiny", "--out", str(out)]) == 0
    content: dict[str, Any] = json.loads((out / "gpu-tiny.json").read_text("utf-8"))
    assert content["failed"] == {}
    found: dict[str, Any] = content["figures"]
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.vllm
def test_the_parts_with_vllm_give_their_figures(figures: dict[str, Any]) -> None:
    assert figures["correct_max_abs"] < 0.1
    assert figures["correct"]["rms"] < 0.02
    assert figures["rescored_share"] == 0
    assert set(figures["vs_plain_vllm"]) == {"mix", "long_response", "long_prompt", "best_of_5"}
    assert all(rate > 0 for rate in figures["tokens_per_s"].values())
    assert all(share < 1 for share in figures["computed_share"].values())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_service_is_measured_against_its_engine(figures: dict[str, Any]) -> None:
    assert figures["service_items"] == 40
    assert figures["service_vs_engine"] > 0
    assert figures["service_tokens_per_s"] > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_parts_without_vllm_give_their_figures(figures: dict[str, Any]) -> None:
    assert figures["transformers_tokens_per_s"] > 0
    assert set(figures["train_step_vs_trl"]) == {"8b_lora", "1b_full"}
    assert all(seconds > 0 for ways in figures["train_step_s"].values() for seconds in ways.values())


def test_a_part_that_fails_is_named_and_the_others_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {"broken": gpu.Part("no_such_script.py", 60), "compared": gpu.Part("gpu_dummy_weights.py", 60)}
    monkeypatch.setattr(gpu, "PARTS", parts)
    assert gpu.main(["--tiny", "--out", str(tmp_path)]) == 1
    assert "broken failed: status 2" in capsys.readouterr().out
    content = json.loads((tmp_path / "gpu-tiny.json").read_text("utf-8"))
    assert list(content["failed"]) == ["broken"]
    assert set(content["figures"]["part_s"]) == {"broken", "compared"}


def test_a_part_that_outlasts_its_limit_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "1")
    monkeypatch.setitem(gpu.PARTS, "hanging", gpu.Part(str(tmp_path / "hanging.py"), 1.5))
    (tmp_path / "hanging.py").write_text("import time; time.sleep(600)")
    results = gpu.Results(tmp_path / "gpu-tiny.json", {"card": "CPU"}, "abc")
    assert not gpu._run("hanging", tmp_path, time.monotonic() + 100, results, tiny=True)
    assert "its time was up" in json.loads(results.path.read_text("utf-8"))["failed"]["hanging"]


def test_results_of_two_calls_are_joined(tmp_path: Path) -> None:
    files = []
    for name, figures in (("a", {"useful_mfu": {"mix": 0.5}}), ("b", {"useful_mfu": {"best_of_5": 0.4}})):
        (tmp_path / name).mkdir()
        results = gpu.Results(tmp_path / name / "gpu-card.json", {"card": "a card"}, "abc")
        results.add("vllm", figures)
        files.append(results.path)
    joined = json.loads(gpu._merged(files, tmp_path / "out").read_text("utf-8"))
    assert joined["figures"] == {"useful_mfu": {"mix": 0.5, "best_of_5": 0.4}}


def test_log_probs_and_contrasts_are_compared() -> None:
    exact = [{"better": Row(np.array([-1.0, -2.0], np.float32)), "worse": Row(np.array([-1.5, -2.0], np.float32))}]
    found = [{"better": Row(np.array([-1.0, -2.5], np.float32)), "worse": Row(np.array([-1.5, -2.0], np.float32))}]
    differences = compared(found, exact)
    assert differences["tokens"] == 4
    assert differences["max_abs"] == 0.5
    assert differences["rms"] == 0.25
    assert differences["contrast_error_rms"] == pytest.approx(0.35355, abs=1e-5)


def test_the_plugin_for_dummy_weights_is_announced_to_vllm(tmp_path: Path) -> None:
    install(tmp_path)
    announced = [
        point
        for distribution in importlib.metadata.distributions(path=[str(tmp_path)])
        for point in distribution.entry_points
    ]
    assert [(point.group, point.value) for point in announced] == [
        ("vllm.general_plugins", "benchmarks.gpu_dummy_weights:register")
    ]


def test_a_block_cache_knows_whole_blocks_and_what_stands_before_them() -> None:
    cache = BlockCache()
    cache.put(range(40))
    assert cache.hit(range(40)) == 32
    assert cache.hit(range(32)) == 16  # its last token is read again, for its logits
    assert cache.hit(range(16, 40)) == 0


@pytest.fixture(scope="module")
def works(renderer: Renderer) -> dict[str, Work]:
    return {name: workload(name, renderer, 6000) for name in ("best_of_5", "long_response", "long_prompt", "mix")}


def test_what_branches_and_responses_share_is_counted_once(works: dict[str, Work]) -> None:
    shape = SHAPES["8b"]
    shares = {name: work.plain_flops(shape) / work.flops(shape) for name, work in works.items()}
    assert shares["best_of_5"] > shares["long_response"] > 1


@pytest.mark.parametrize(
    ("name", "most"), [("mix", 1.10), ("long_prompt", 1.10), ("long_response", 1.10), ("best_of_5", 1.15)]
)
def test_the_vllm_engine_asks_for_little_more_than_the_work_needs(
    works: dict[str, Work], name: str, most: float
) -> None:
    shape = SHAPES["8b"]
    assert 1 < engine_flops(works[name].scorings, shape) / works[name].flops(shape) <= most
