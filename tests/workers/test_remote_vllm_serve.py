"""The remote engine through a real `vllm serve` with the demo model: the rows of an engine with the model at hand."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.harness.vllm_serve import vllm_serve
from tokenreward import templates
from tokenreward.chat_format import ChatFormat
from tokenreward.schema import Item
from tokenreward_workers.engines.base import Engine, score_all
from tokenreward_workers.engines.remote.engine import RemoteEngine
from tokenreward_workers.engines.remote.settings import RemoteSettings
from tokenreward_workers.model_files.resolve import ModelFiles
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.scoring import Scoring, ScoringFailed

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]


@pytest.fixture(scope="module")
def url(demo: ModelFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with vllm_serve(tmp_path_factory.mktemp("vllm"), demo.path) as address:
        yield address


@pytest.fixture(scope="module")
def work(renderer: Renderer) -> list[Scoring]:
    items = [
        Item(prompt=f"What is {n} + {n}? Explain it to a child.", response=f"{n} + {n} = {2 * n}, as everyone knows.")
        for n in range(2, 8)
    ]
    ready = renderer.prepare(items, templates.resolve("revision"), ["better", "worse"])
    return [one.scoring for one in ready if isinstance(one, Prepared)]


@pytest.fixture(scope="module")
def expected(demo: ModelFiles, work: list[Scoring]) -> np.ndarray:
    from tokenreward_workers.engines.packed.engine import TransformersEngine

    return flat(TransformersEngine(demo.path, "bfloat16"), work)


def flat(engine: Engine, work: list[Scoring]) -> np.ndarray:
    outcomes = score_all(engine, work)
    assert [outcome for outcome in outcomes if isinstance(outcome, ScoringFailed)] == []
    return np.concatenate([row.logprobs for out in outcomes for row in out.values()])  # type: ignore[union-attr]


@pytest.mark.parametrize("wire", ["vllm-generate", "vllm"])
def test_its_rows_are_those_of_the_model_at_hand(url, demo_chat: ChatFormat, work, expected, wire) -> None:
    engine = RemoteEngine(RemoteSettings((url,), wire), demo_chat, 49152)
    try:
        for _ in range(2):  # the second time the server's cache knows all of it
            apart = np.abs(flat(engine, work) - expected)
            assert apart.mean() <= 0.03  # each of the two bfloat16 engines has its own noise
            assert apart.max() <= 0.35
        assert engine.info.model == "served"
        assert engine.info.version.startswith("vllm ")
    finally:
        engine.close()
