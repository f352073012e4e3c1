"""vLLM's two model runners give the same rows, and neither computes one twice.

A GPU runs V2, the CPU build V1. V2 runs here through Triton's interpreter, which the locked environment brings.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.waiting import patience
from tests.workers.test_wanted import assert_same, by_hand
from tests.workers.two_runners.child import scenarios
from tokenreward_workers.scoring import Row, Scoring

_FOLDER = Path(__file__).parent / "two_runners"

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(
        importlib.util.find_spec("triton") is None, reason="TRITON IS NOT INSTALLED: VLLM'S GPU RUNNER WAS NOT TESTED"
    ),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    import transformers

    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    path = tmp_path_factory.mktemp("model")
    transformers.AutoModelForCausalLM.from_config(config).float().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def runs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each runner says: {"v1": ..., "v2": ...}."""
    out = tmp_path_factory.mktemp("runs")
    interpreter = {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join([str(_FOLDER), *_python_path()])}
    commands = {
        runner: [sys.executable, str(_FOLDER / "child.py"), str(model), str(out / f"{runner}.npz")]
        for runner in ("v1", "v2")
    }

    def run(runner: str) -> Any:
        environment = os.environ | (interpreter if runner == "v2" else {})
        done = subprocess.run(
            commands[runner], env=environment, capture_output=True, text=True, timeout=patience(240), check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return np.load(out / f"{runner}.npz")

    with ThreadPoolExecutor(2) as pool:  # both spend most of their time on imports, one core each
        return dict(zip(commands, pool.map(run, commands), strict=True))


def _python_path() -> list[str]:
    given = os.environ.get("PYTHONPATH")
    return [given] if given else []


def _counters(run: Any) -> dict[str, dict[str, int]]:
    return json.loads(str(run["told"]))["counters"]


@pytest.mark.timeout(600)
def test_each_run_is_of_the_runner_that_it_should_be(runs: dict[str, Any]) -> None:
    assert json.loads(str(runs["v1"]["told"]))["runner"] == "OwnRowsAsking"
    assert json.loads(str(runs["v2"]["told"]))["runner"] == "TokenIdAsking"


def test_both_runners_say_what_a_plain_float32_pass_says(model: Path, runs: dict[str, Any]) -> None:
    import torch
    import transformers

    plain = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    for name, work in scenarios().items():
        for n, scoring in enumerate(work):
            for branch in scoring.branches:
                expected = _plain(plain, scoring, branch)
                for runner in ("v1", "v2"):
                    found = Row.of(runs[runner][f"{name}.{n}.{branch}"], scoring.wanted)
                    assert_same(found, expected)


def test_the_runners_agree_to_the_last_digits(runs: dict[str, Any]) -> None:
    names = [name for name in runs["v1"].files if name != "told"]
    assert max(np.abs(runs["v1"][name] - runs["v2"][name])[:, 0].max() for name in names) < 1e-5


@pytest.mark.parametrize("runner", ["v1", "v2"])
def test_nothing_is_scored_twice_but_after_a_preemption(runs: dict[str, Any], runner: str) -> None:
    counters = _counters(runs[runner])
    assert counters.pop("preempted")["preemptions"] > 0, "the scenario is meant to preempt"
    assert {name: count["rescored"] for name, count in counters.items() if count["rescored"]} == {}


def test_the_gpu_runner_computes_as_few_tokens_as_the_other(runs: dict[str, Any]) -> None:
    v1, v2 = _counters(runs["v1"]), _counters(runs["v2"])
    for name in scenarios().keys() - {"preempted"}:
        assert v2[name]["computed_tokens"] == v1[name]["computed_tokens"], name


def test_siblings_on_a_block_boundary_cost_one_block_each(runs: dict[str, Any]) -> None:
    first, *others = work = scenarios()["siblings_on_a_block_boundary"]
    rest = {branch: len(ids) for branch, ids in first.branches.items()}
    read_once = len(first.prefix) + sum(rest.values())
    again = 32 * len(rest) * len(others)  # the block that ends at the boundary
    responses = sum(len(one.response) * len(one.branches) for one in work)
    for runner in ("v1", "v2"):
        computed = _counters(runs[runner])["siblings_on_a_block_boundary"]["computed_tokens"]
        assert computed <= read_once + again + responses


def _plain(model: Any, scoring: Scoring, branch: str) -> Row:
    import torch

    ids = torch.tensor([[*scoring.prefix, *scoring.branches[branch], *scoring.response]])
    with torch.inference_mode():
        return by_hand(model(ids).logits[0], scoring)
