"""`--tensor-parallel` reaches vLLM. More than one GPU was never at hand: what vLLM is told is as far as this goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.vllm
def test_tensor_parallelism_reaches_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vllm")
    from vllm.v1.engine.llm_engine import LLMEngine

    from tokenreward_workers.engines.vllm.engine import VllmEngine
    from tokenreward_workers.engines.vllm.settings import VllmSettings

    told: list[Any] = []

    def from_engine_args(arguments: Any) -> Any:
        told.append(arguments)
        raise ValueError("far enough")

    monkeypatch.setattr(LLMEngine, "from_engine_args", from_engine_args)
    for parallel in (1, 4):
        with pytest.raises(ValueError, match="far enough"):
            VllmEngine(tmp_path, VllmSettings(tensor_parallel=parallel))
    seen = [(a.tensor_parallel_size, a.distributed_executor_backend.__name__) for a in told]
    assert seen == [(1, "ScoringExecutor"), (4, "ParallelScoringExecutor")]
