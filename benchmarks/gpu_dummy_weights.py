"""A vLLM plugin, for `make gpu`: dummy weights are drawn from +-0.03 instead of vLLM's +-0.001.

Weights of almost nothing draw less power than real ones, which flatters a card. vLLM loads plugins in every one of
its processes, EngineCore included, so that this works where changing a function in the parent would not.
"""

from __future__ import annotations

import inspect
from pathlib import Path

_DISTRIBUTION = "tokenreward_gpu_benchmark-0.dist-info"


def install(folder: Path) -> None:
    """Make `folder` a place on PYTHONPATH that announces this plugin to vLLM; the repository must be on it as well."""
    announced = folder / _DISTRIBUTION
    announced.mkdir(parents=True)
    (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: tokenreward-gpu-benchmark\nVersion: 0\n")
    (announced / "entry_points.txt").write_text(
        "[vllm.general_plugins]\ndummy = benchmarks.gpu_dummy_weights:register\n"
    )


def register() -> None:
    """Widen the range that vLLM draws dummy weights from."""
    from vllm.model_executor.model_loader import weight_utils

    draw = inspect.unwrap(weight_utils.initialize_single_dummy_weight)
    low, high, *rest = draw.__defaults__
    assert (low, high) == (-1e-3, 1e-3) or (low, high) == (-0.03, 0.03), "vLLM draws dummy weights in another way now"
    draw.__defaults__ = (-0.03, 0.03, *rest)
