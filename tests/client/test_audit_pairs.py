"""The statistics of preference pairs, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenreward.audit.measures import pairs
from tokenreward.statistics.bootstrap import Interval, Resamples


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=40).filter(lambda v: min(v) < 0 < max(v)))
def test_a_rule_that_only_knows_the_length_gets_exactly_a_half_with_length_controlled(longer: list[int]) -> None:
    lengths = np.array(longer, dtype=float)
    for rule in (lengths, -lengths):
        assert pairs.controlled(pairs.won(rule), lengths, Resamples("s", len(lengths), draws=1)).value == 0.5


def test_length_control_worked_out_by_hand() -> None:
    longer = np.array([3.0, 1.0, 2.0, -1.0, 0.0])
    right = pairs.won(np.array([1.0, 1.0, -1.0, -1.0, 1.0]))
    assert right.tolist() == [1, 1, 0, 0, 1]
    # Longer: 2 of 3; shorter: 0 of 1; together four fifths of the pairs. Equal: 1 of 1, a fifth.
    found = pairs.controlled(right, longer, Resamples("s", 5, draws=50))
    assert found.value == pytest.approx(0.8 * (2 / 3 + 0) / 2 + 0.2 * 1)
    assert np.isfinite(found.draws).any()
    assert np.isnan(pairs.controlled(right[:3], longer[:3], Resamples("s", 3, draws=50)).value)


def test_pairs_are_counted_by_mean_and_by_sum_and_ties_count_half() -> None:
    longer = np.array([1.0, -1.0, 1.0, -1.0])
    mean, total = np.array([1.0, 1.0, 0.0, -1.0]), np.array([1.0, 1.0, 1.0, 1.0])
    margins = {"surprisal": pairs.Margins(mean, mean), "label": pairs.Margins(total, mean)}
    found = pairs.measure(longer, margins, "surprisal", Resamples("s", 4, draws=100))["label"]
    assert found.mean.value == 2.5 / 4
    assert found.total.value == 1.0
    assert found.mean_controlled.value == pytest.approx((1.5 / 2 + 1 / 2) / 2)
    assert found.gain.interval == Interval(0.0, 0.0, 0.0)
