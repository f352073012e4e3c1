"""What a worker says of its engine."""

from __future__ import annotations

import logging

import pytest

from tokenreward_workers.engines.base import EngineStats
from tokenreward_workers.process.report import RescoringWarning, flops_utilisation, prefix_hit_share


def test_rescoring_is_warned_of_once_and_only_when_there_is_enough_to_judge_by(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warning = RescoringWarning()
    with caplog.at_level(logging.WARNING):
        warning.look(EngineStats(branches=199, rescored=199))
        warning.look(EngineStats(branches=200, rescored=10))
        assert not caplog.records
        warning.look(EngineStats(branches=200, rescored=11))
        warning.look(EngineStats(branches=400, rescored=400))
    (record,) = caplog.records
    assert record.message.startswith("11 of 200 branches were scored twice")


def test_the_share_of_the_peak_needs_the_models_flops_and_the_cards_peak() -> None:
    stats = EngineStats(computed_tokens=1000, busy_seconds=2.0)
    assert flops_utilisation(2e9, None, stats) is None
    assert flops_utilisation(None, 4e12, stats) is None
    assert flops_utilisation(2e9, 4e12, stats) == pytest.approx(0.25)
    assert flops_utilisation(2e9, 4e12, EngineStats()) is None


def test_the_prefix_hit_share_is_of_all_tokens_that_would_have_been_read() -> None:
    assert prefix_hit_share(EngineStats()) is None
    assert prefix_hit_share(EngineStats(computed_tokens=30, cached_tokens=10)) == pytest.approx(0.25)
