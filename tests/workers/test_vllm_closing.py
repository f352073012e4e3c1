"""A vLLM engine that was closed starts no EngineCore any more, whatever its other threads make of the end. No vLLM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tokenreward_workers.engines.base import EngineDied, EngineStats
from tokenreward_workers.engines.vllm import engine as vllm_engine
from tokenreward_workers.engines.vllm.engine import VllmEngine
from tokenreward_workers.engines.vllm.settings import VllmSettings


class Cores:
    """EngineCores as vLLM would start them."""

    def __init__(self) -> None:
        self.alive = 0
        self.started = 0
        self.while_starting: Callable[[], object] = lambda: None

    def load(self, *_: Any, **__: Any) -> Any:
        running = [True]
        self.alive += 1
        self.started += 1

        def shutdown() -> None:
            self.alive -= running[0]
            running[0] = False

        self.while_starting()
        return SimpleNamespace(engine_core=SimpleNamespace(shutdown=shutdown))


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Cores:
    found = Cores()
    monkeypatch.setattr(vllm_engine, "load", found.load)
    return found


@pytest.fixture
def engine(cores: Cores) -> VllmEngine:
    made: VllmEngine = object.__new__(VllmEngine)
    made._path, made._settings, made._limits, made._on_cpu = None, VllmSettings(), vllm_engine._CPU, True  # type: ignore[assignment]
    made._budget, made._dead, made._closed, made.stats = 1024, False, False, EngineStats()
    made._adapters = vllm_engine.Adapters(Path(), made._settings)
    made._engine = made._start()
    return made


def test_a_restart_replaces_the_core(engine: VllmEngine, cores: Cores) -> None:
    engine.restart()
    assert (cores.started, cores.alive) == (2, 1)
    assert engine.stats.restarts == 1


def test_a_closed_engine_is_not_restarted(engine: VllmEngine, cores: Cores) -> None:
    engine.close()
    with pytest.raises(EngineDied, match="was closed"):
        engine.restart()
    assert (cores.started, cores.alive) == (1, 0)


def test_a_core_that_was_starting_when_the_engine_was_closed_is_ended(engine: VllmEngine, cores: Cores) -> None:
    cores.while_starting = engine.close
    with pytest.raises(EngineDied, match="was closed"):
        engine.restart()
    assert (cores.started, cores.alive) == (2, 0)
