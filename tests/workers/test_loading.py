"""What cannot be loaded ends in one line and status 78, and nothing registers that has not scored its probe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tokenreward.chat_format import ChatFormat
from tokenreward.errors import BadInput
from tokenreward_workers import engines, main
from tokenreward_workers.engines import LoadedEngine, load_engine, probe
from tokenreward_workers.engines.base import EngineDied, EngineInfo, EngineStats, Feed, Key, Outcome
from tokenreward_workers.engines.loading import CannotLoad, loading
from tokenreward_workers.engines.synthetic import SyntheticEngine, SyntheticSettings, chat_format
from tokenreward_workers.engines.vllm import engine as vllm_engine
from tokenreward_workers.process import startup
from tokenreward_workers.process.startup import measured
from tokenreward_workers.process.supervisor import HOPELESS
from tokenreward_workers.scoring import Row, ScoringFailed
from tokenreward_workers.settings import WorkerSettings


class OutOfMemoryError(RuntimeError):
    """Named and worded like PyTorch's."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'vllm'", name="vllm"), "needs vllm, which cannot be imported"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"), "the memory does not suffice"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "the memory does not suffice"),
        (KeyError("rope_theta"), "KeyError: 'rope_theta'"),
        (RuntimeError("\nsize mismatch for weight\nand so on"), "RuntimeError: size mismatch for weight"),
    ],
)
def test_an_error_at_load_is_one_line(error: Exception, words: str) -> None:
    with pytest.raises(CannotLoad) as raised, loading("vllm", Path("/models/x")):
        raise error
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_bad_input_is_said_as_it_is() -> None:
    with pytest.raises(BadInput, match=r"^as it is$") as raised, loading("vllm", None):
        raise BadInput("as it is")
    assert not isinstance(raised.value, CannotLoad)


def test_a_worker_that_cannot_load_ends_with_status_78_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(path: Path | None, settings: object) -> LoadedEngine:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(engines, "_LOADERS", {"synthetic": load})
    monkeypatch.setenv("TOKENREWARD_ENGINE", "synthetic")
    monkeypatch.setenv("TOKENREWARD_REDIS_URL", "redis://127.0.0.1:1")
    assert main.main() == HOPELESS
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("tokenreward worker: engine 'synthetic' needs torch")
    assert not any("Traceback" in line for line in said)


class Scripted:
    """An engine that gives the same outcome for everything, or dies."""

    def __init__(self, outcome: Outcome | Exception) -> None:
        self.info = EngineInfo("scripted", "1", "float32", 1000, 1000, "float32")
        self.stats = EngineStats()
        self.closed = False
        self._outcome = outcome

    def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
        while (given := feed.take(1000, wait=True)) is not None:
            for key, scoring in given:
                if isinstance(self._outcome, Exception):
                    raise self._outcome
                rows = {name: Row(np.full(len(scoring.response), -1, np.float32)) for name in scoring.branches}
                yield key, rows if self._outcome == {} else self._outcome

    def restart(self) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("outcome", [ScoringFailed("non_finite", "nan everywhere"), EngineDied("no kernel image")])
def test_an_engine_that_fails_its_probe_is_closed_and_refused(
    outcome: Outcome | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Scripted(outcome)
    monkeypatch.setattr(engines, "_LOADERS", {"synthetic": lambda *_: LoadedEngine(engine, chat_format())})
    with pytest.raises(CannotLoad, match=r"cannot score with it: .*(nan everywhere|no kernel image)"):
        startup.load(WorkerSettings(engine="synthetic"))
    assert engine.closed


def test_an_engine_is_closed_when_the_model_cannot_be_named_after_it_was_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unwritable(*_: object) -> None:
        raise PermissionError("the cache directory cannot be written to")

    engine = Scripted({})
    monkeypatch.setattr(engines, "_LOADERS", {"synthetic": lambda *_: LoadedEngine(engine, chat_format())})
    monkeypatch.setattr(startup, "fingerprint", unwritable)
    with pytest.raises(CannotLoad, match="PermissionError: the cache directory cannot be written to"):
        startup.load(WorkerSettings(engine="synthetic"))
    assert engine.closed


def test_vllm_is_not_started_for_a_model_whose_chat_format_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: Path) -> ChatFormat:
        raise BadInput(f"{path} has no chat template")

    (tmp_path / "config.json").write_text("{}", "utf-8")
    started: list[object] = []
    monkeypatch.setattr(vllm_engine, "VllmEngine", lambda *given: started.append(given))
    monkeypatch.setattr(ChatFormat, "load", unreadable)
    with pytest.raises(BadInput, match="no chat template"):
        load_engine("vllm", tmp_path)
    assert started == []


def test_the_probe_measures_a_rate_and_keeps_the_log_probs() -> None:
    assert (measured(LoadedEngine(Scripted({}), chat_format())).tokens_per_second or 0) > 0
    result = probe.probe(SyntheticEngine(SyntheticSettings()))
    assert all(set(rows) for rows in result.logprobs)


@pytest.mark.parametrize("limit", [3, 50, 127, 128, 4096])
def test_the_probe_is_no_longer_than_what_the_engine_takes(limit: int) -> None:
    lengths: list[int] = []

    class Short(Scripted):
        def score(self, feed: Feed) -> Iterator[tuple[Key, Outcome]]:
            while (given := feed.take(1000, wait=True)) is not None:
                for key, scoring in given:
                    lengths.append(scoring.longest)
                    yield key, {name: Row(np.zeros(len(scoring.response), np.float32)) for name in scoring.branches}

    engine = Short({})
    engine.info = replace(engine.info, max_tokens=limit)
    probe.probe(engine)
    assert min(limit, 128) - 3 < max(lengths) <= limit


def test_the_synthetic_engines_rate_is_set_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(load_engine("synthetic", None)).tokens_per_second is None
    monkeypatch.setenv("TOKENREWARD_SYNTHETIC_TOKENS_PER_SECOND", "1234")
    assert measured(load_engine("synthetic", None)).tokens_per_second == 1234
