"""Estimators are pure functions from log-probs to rewards in [-1/2, 1/2]."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tokenreward import estimators, templates
from tokenreward.errors import UnknownName

logprobs = arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1e6, 0, width=32))


def test_contrast_is_the_papers_equation_3() -> None:
    better = np.array([-1.0, -2.0, -0.5], dtype=np.float32)
    worse = np.array([-2.0, -2.0, -0.25], dtype=np.float32)
    rewards = estimators.resolve("contrast").rewards({"better": better, "worse": worse})
    expected = [1 / (1 + math.exp(-d)) - 0.5 for d in (1.0, 0.0, -0.25)]
    np.testing.assert_allclose(rewards, expected, atol=1e-7)
    assert rewards.dtype == np.float32


@given(logprobs)
def test_every_estimator_stays_in_its_range_and_is_finite(values: np.ndarray) -> None:
    for estimator in estimators.shipped().values():
        branches = {name: np.roll(values, n) for n, name in enumerate(estimator.branches)}
        rewards = estimator.rewards(branches)
        assert rewards.shape == values.shape
        assert np.isfinite(rewards).all()
        assert (np.abs(rewards) <= 0.5).all()


@given(logprobs)
def test_contrast_changes_sign_when_the_branches_change_places(values: np.ndarray) -> None:
    contrast = estimators.resolve("contrast").rewards
    other = np.roll(values, 1)
    np.testing.assert_array_equal(
        contrast({"better": values, "worse": other}), -contrast({"better": other, "worse": values})
    )


def test_every_estimator_finds_its_branches_in_every_shipped_template() -> None:
    for estimator in estimators.shipped().values():
        assert any(set(estimator.branches) <= t.branches.keys() for t in templates.shipped().values())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="contrast"):
        estimators.resolve("nope")
