"""What vLLM does not see of a model is seen before it starts, and a small model is compared with a plain pass."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, MistralConfig

from tests.support.tiny_checkpoint import chat_tokenizer, plain_log_probs, save_checkpoint
from tests.workers.test_engines import random_ids
from tokenreward.errors import BadInput
from tokenreward_workers.engines import EngineSettings, load_engine
from tokenreward_workers.engines.base import EngineInfo, EngineStats, Feed, Key, Outcome, score_all
from tokenreward_workers.engines.probe import probe
from tokenreward_workers.engines.vllm import engine as vllm_engine
from tokenreward_workers.engines.vllm import plain_check
from tokenreward_workers.engines.vllm.checkpoint import checked
from tokenreward_workers.engines.vllm.settings import VllmSettings
from tokenreward_workers.scoring import Row, Scoring, ScoringFailed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "model")


def configure(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_vllm_is_not_started_for_a_model_that_is_not_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_engine, "VllmEngine", lambda *given: pytest.fail("started"))
    weights = load_file(folder / "model.safetensors")
    save_file(weights, folder / "copy.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=r"copy\.safetensors beside model\.safetensors"):
        load_engine("vllm", folder)
    (folder / "copy.safetensors").unlink()
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=r"lack model\.norm\.weight"):
        load_engine("vllm", folder)


def test_rotary_embeddings_that_vllm_computes_otherwise_are_refused_or_kept_below_their_change(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert checked(folder, VllmSettings()) == VllmSettings()
    rope = {"rope_theta": 10000.0, "original_max_position_embeddings": 100, "factor": 2.0}
    factors = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    configure(folder, rope_parameters=rope | factors | {"rope_type": "longrope"})
    with caplog.at_level(logging.WARNING):
        assert checked(folder, VllmSettings()).max_tokens == 99
    assert "up to 99 tokens" in caplog.text
    assert checked(folder, VllmSettings(max_tokens=50)).max_tokens == 50
    configure(folder, rope_parameters=rope | {"rope_type": "dynamic"})
    with pytest.raises(BadInput, match=r"dynamic rotary embeddings.*take engine transformers"):
        checked(folder, VllmSettings())


class Scripted:
    """An engine that gives each response token the same log-prob, and those of a text that it has seen another one."""

    def __init__(self, *, again: float = -1.0, windows: tuple[int, ...] = (), pause: float = 0.0) -> None:
        self.info = EngineInfo("scripted", "1", "float32", 1000, 1000, "float32", windows=windows)
        self.stats = EngineStats()
        self.lengths: list[int] = []
        self._again = again
        self._seen: set[tuple[int, ...]] = set()

    def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
        while (given := feed.take(1000, wait=True)) is not None:
            for key, scoring in given:
                self.lengths.append(scoring.longest)
                seen = scoring.prefix in self._seen and scoring.longest > 200
                self._seen.add(scoring.prefix)
                value = self._again if seen else -1.0
                yield key, {name: Row(np.full(len(scoring.response), value, np.float32)) for name in scoring.branches}

    def restart(self) -> None: ...

    def close(self) -> None: ...


def test_the_probe_reaches_beyond_the_window_and_compares_the_cache_there() -> None:
    engine = Scripted(windows=(300,))
    probe(engine)
    assert max(engine.lengths) == 364
    with pytest.raises(RuntimeError, match="when scored again"):
        probe(Scripted(windows=(300,), again=-2.0))
    short = Scripted(again=-2.0, windows=(1000,))
    probe(short)
    assert max(short.lengths) == 128


def test_a_window_that_takes_minutes_to_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenreward_workers.engines.probe._LONG_SECONDS", 0.0)
    with pytest.raises(BadInput, match=r"changes at 300 tokens.*--max-tokens 300 or less"):
        probe(Scripted(windows=(300,)))


def test_a_plain_pass_that_says_something_else_refuses_the_engine(folder: Path) -> None:
    texts = plain_check.plain_rows(folder, None)
    assert [scoring.longest for scoring, _ in texts] == [160]
    with pytest.raises(BadInput, match="off a plain pass of transformers"):
        plain_check.compare(Scripted(), texts)
    failing = Scripted()
    failing.score = lambda feed: iter([(0, ScoringFailed("engine_error", "no kernel"))])  # type: ignore[method-assign]
    with pytest.raises(BadInput, match="cannot score with this model: no kernel"):
        plain_check.compare(failing, texts)


def test_models_that_are_large_or_quantised_are_not_compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_check, "_SMALL", 1000)
    assert plain_check.plain_rows(folder, None) == []


@pytest.mark.vllm
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.timeout(600)
def test_a_window_is_right_in_vllm_cold_and_from_the_cache(tmp_path: Path) -> None:
    torch.manual_seed(5)
    sizes = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "head_dim": 32,
    }
    config = MistralConfig(
        **sizes, num_key_value_heads=1, vocab_size=len(chat_tokenizer()), sliding_window=100, initializer_range=0.3
    )
    config.max_position_embeddings = 512
    path = save_checkpoint(tmp_path / "model", model=AutoModelForCausalLM.from_config(config))
    loaded = load_engine("vllm", path, EngineSettings(dtype="float32", kv_gib=0.1))
    try:
        assert loaded.engine.info.windows == (100,)
        probe(loaded.engine)
        prompt, response = random_ids(1, 250, 259), random_ids(2, 40, 259)
        work = [Scoring(prompt, {"a": (5, 6), "b": (7,)}, response)]
        for (scored,) in (score_all(loaded.engine, work), score_all(loaded.engine, work)):
            assert not isinstance(scored, ScoringFailed), scored
            for branch, rest in work[0].branches.items():
                plain = plain_log_probs(path, [*prompt, *rest, *response])[-len(response) :].numpy()
                assert np.abs(scored[branch].logprobs - plain).max() < 1e-4
    finally:
        loaded.engine.close()
