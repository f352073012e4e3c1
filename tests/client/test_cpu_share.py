"""A training run takes no more threads than its container has CPUs, and its threads do not spin."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tokenreward.cpu_share import cpu_share, share_cpus


@pytest.mark.parametrize(
    ("content", "expected"), [("150000 100000", 2), ("10000 100000", 1), ("max 100000", 64), ("", 64)]
)
def test_a_quota_limits_the_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    (tmp_path / "cpu.max").write_text(content)
    assert cpu_share(tmp_path / "cpu.max") == expected
    assert cpu_share(tmp_path / "nowhere") == 64


def test_what_the_user_set_stays() -> None:
    given = {"OMP_NUM_THREADS": "7"}
    share_cpus(given)
    assert given == {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "PASSIVE"}
