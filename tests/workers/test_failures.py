"""A failed thread ends its worker in order: one signal, and none once the worker is ending."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from tokenreward.errors import BadInput
from tokenreward_workers.engines.remote.endpoint_proof import Swapped
from tokenreward_workers.process.failures import Failures
from tokenreward_workers.shards.blame import blaming


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append((pid, number)))
    return signals


def test_the_first_failure_ends_the_worker_and_later_ones_do_not_break_its_end_off(sent: list[tuple[int, int]]) -> None:
    failures, first, second = Failures(), RuntimeError("first"), RuntimeError("second")
    failures.add(first)
    failures.add(second)
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert failures.errors == [first, second]


def test_a_failure_while_the_worker_ends_is_noted_and_sends_no_second_signal(sent: list[tuple[int, int]]) -> None:
    failures = Failures()
    failures.ending = True
    failures.add(RuntimeError("the store is away"))
    assert sent == []
    assert len(failures.errors) == 1


def test_no_shard_is_blamed_for_what_is_wrong_with_an_endpoint() -> None:
    shard: Any = SimpleNamespace(blamed=False)
    with pytest.raises(Swapped), blaming([shard], passed=(BadInput,)):
        raise Swapped("another model")
    assert not shard.blamed
    with pytest.raises(BadInput), blaming([shard]):
        raise BadInput("of the shard's own")
    assert shard.blamed
