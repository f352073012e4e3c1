"""Adapters in vLLM (CPU build): prompt log-probs with LoRA, a prefix cache for each, and one that is gone."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.adapters import TARGETS, save_adapter, save_merged
from tests.workers.conftest import _SHAPE
from tests.workers.test_adapters import check, expected, mixed
from tests.workers.test_engines import plain, random_ids
from tests.workers.test_wanted_of_adapters import check as check_wanted
from tests.workers.test_wanted_of_adapters import expected as expected_of_what_is_wanted
from tests.workers.test_wanted_of_adapters import wanted_of
from tokenreward_workers.engines.base import score_all
from tokenreward_workers.scoring import Adapter, Scoring, ScoringFailed

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]

Models = tuple[Path, list[tuple[Adapter, Path]]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Weights of a usual size: log-probs of a wilder model are off by 1e-5 without any adapter."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("adapters")
    base = folder / "base"
    torch.manual_seed(7)
    config = transformers.LlamaConfig(**_SHAPE | {"initializer_range": 0.08})
    transformers.AutoModelForCausalLM.from_config(config).float().save_pretrained(base)
    made = []
    for n, modules in enumerate((TARGETS, ("q_proj", "k_proj", "o_proj"), ("gate_proj", "up_proj"))):
        adapter = save_adapter(base, folder / f"adapter-{n}", seed=n, target_modules=list(modules))
        made.append((adapter, save_merged(base, adapter, folder / f"merged-{n}")))
    return base, made


@pytest.fixture(scope="module")
def engine(models: Models) -> Iterator[Any]:
    """Two adapters fit into a step, and eight into memory."""
    from tokenreward_workers.engines.vllm.engine import VllmEngine
    from tokenreward_workers.engines.vllm.settings import VllmSettings

    settings = VllmSettings(dtype="float32", token_budget=256, kv_gib=0.1, max_adapters=2, max_adapter_rank=8)
    engine = VllmEngine(models[0], settings)
    yield engine
    engine.close()


def test_branches_of_adapters_equal_those_of_the_merged_models(engine: Any, models: Models) -> None:
    work = mixed([adapter for adapter, _ in models[1]])
    wanted = expected(models, work)
    for _ in range(2):  # the second time out of the prefix cache
        check(score_all(engine, work), wanted)
    assert engine.stats.cached_tokens > 0
    assert engine.stats.rescored == 0


def test_each_branch_gets_what_is_wanted_from_its_own_adapter(engine: Any, models: Models) -> None:
    work = wanted_of(models)
    right = expected_of_what_is_wanted(models, work)
    for _ in range(2):
        check_wanted(score_all(engine, work), right)


def test_what_one_adapter_has_read_is_not_taken_for_what_another_reads(engine: Any, models: Models) -> None:
    base, made = models
    prompt, answer = random_ids(50, 100), random_ids(51, 10)
    rights = [plain(folder, [Scoring(prompt, {"a": ()}, answer)])[0] for folder in (base, *(m for _, m in made))]
    for adapter, right in zip((None, *(adapter for adapter, _ in made)), rights, strict=True):
        one = Scoring(prompt, {"a": ()}, answer, adapters={"a": adapter} if adapter else {})
        check(score_all(engine, [one]), [right])


def test_an_adapter_that_cannot_be_loaded_fails_what_needs_it_and_the_engine_lives(
    engine: Any, models: Models, tmp_path: Path
) -> None:
    base, ((good, _), *_) = models
    wide = save_adapter(base, tmp_path / "wide", r=16, lora_alpha=16)
    gone = Adapter("0" * 16, tmp_path / "gone")
    work = [Scoring((3, 4), {"a": (5,), "b": (6,)}, (7, 8), adapters={"a": one}) for one in (gone, good, wide)]
    lost, kept, refused = score_all(engine, work)
    assert isinstance(kept, dict)
    for outcome, said in ((lost, "gone holds no adapter"), (refused, "--max-adapter-rank 16")):
        assert isinstance(outcome, ScoringFailed)
        assert outcome.code == "adapter_failed"
        assert said in outcome.message
    assert not engine._engine.has_unfinished_requests()
    assert good.version in engine.adapters
    assert engine.stats.restarts == 0
