"""Waits follow the machine, and end."""

from __future__ import annotations

import os
import time

import httpx2
import pytest

from benchmarks.harness import waiting
from benchmarks.harness.waiting import MOST, OVERRIDE, patience, wait_for


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor as fast as nominal, whatever this one is, and no override."""
    monkeypatch.delenv(OVERRIDE, raising=False)
    monkeypatch.setattr(waiting, "_slowness", lambda: 1.0)


def load(monkeypatch: pytest.MonkeyPatch, one_minute: float, five_minutes: float) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (one_minute, five_minutes, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.parametrize(
    ("one_minute", "five_minutes", "factor"), [(0.0, 0.0, 1.0), (2.0, 1.0, 1.0), (10.0, 4.0, 5.0), (1.0, 6.0, 3.0)]
)
def test_a_wait_grows_with_the_load_per_core_and_never_shrinks(
    monkeypatch: pytest.MonkeyPatch, one_minute: float, five_minutes: float, factor: float
) -> None:
    load(monkeypatch, one_minute, five_minutes)
    assert patience(30) == 30 * factor


def test_a_slow_processor_makes_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, 4.0, 0.0)
    monkeypatch.setattr(waiting, "_slowness", lambda: 1.5)
    assert patience(10) == 30


def test_the_longest_wait_is_bounded_so_that_a_hang_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, 1000.0, 1000.0)
    assert patience(30) == 30 * MOST


def test_the_environment_overrides_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, 10.0, 10.0)
    monkeypatch.setenv(OVERRIDE, "2.5")
    assert patience(10) == 25


def test_a_condition_that_never_holds_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OVERRIDE, "2")
    started = time.monotonic()
    with pytest.raises(AssertionError, match="the moon did not come about"):
        wait_for(lambda: False, 0.1, "the moon")
    assert time.monotonic() - started >= 0.2


def test_a_refused_connection_counts_as_not_yet() -> None:
    answers = iter([httpx2.ConnectError("refused"), None, "up"])

    def look() -> str | None:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_for(look) == "up"


def test_a_wait_that_began_on_a_quiet_machine_grows_when_the_load_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, 0.0, 0.0)
    calls = 0

    def look() -> bool:
        nonlocal calls
        calls += 1
        if calls == 2:
            load(monkeypatch, 16.0, 0.0)
        return calls == 6

    assert wait_for(look, 0.1)
