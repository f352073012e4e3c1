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
from tokenreward.estimators import Evidence, Moments

logprobs = arrays.arrays(np.float32, st.integers(1, 20), elements=st.floats(-1e6, 0, width=32))


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
        words = " ".join("word" for _ in values)
        offsets = [(5 * n, 5 * n + 4) for n in range(len(values))]
        moments = {name: Moments(-values, np.roll(-values, 1)) for name in branches}
        evidence = Evidence(branches, words, offsets, dict.fromkeys(estimator.fields[:1], "wrong"), moments)
        outcome = estimator.apply(evidence)
        assert outcome.rewards.shape == outcome.difference.shape == values.shape
        assert np.isfinite(outcome.rewards).all()
        assert estimator.unbounded or (np.abs(outcome.rewards) <= 0.5).all()


@given(logprobs)
def test_contrast_changes_sign_when_the_branches_change_places(values: np.ndarray) -> None:
    contrast = estimators.resolve("contrast").rewards
    other = np.roll(values, 1)
    np.testing.assert_array_equal(
        contrast({"better": values, "worse": other}), -contrast({"better": other, "worse": values})
    )


def test_evidence_is_its_formula() -> None:
    plain = np.array([-0.1, -4.0, -0.2], dtype=np.float32)
    null = np.array([-1.0, -2.0, -6.0], dtype=np.float32)

    def averaged(values: np.ndarray, before: float, after: float) -> list[float]:
        near = [[math.exp(-0.5 * ((j - i) / (before if j < i else after)) ** 2) for j in range(3)] for i in range(3)]
        return [sum(w * v for w, v in zip(row, values, strict=True)) / sum(row) for row in near]

    d = [p - n for p, n in zip(averaged(plain, 1.0, 3.0), averaged(null, 4.0, 4.0), strict=True)]
    lean = 0.75 * (-3.0 + 2)  # the mean of null, against the usual 2 nats a token
    expected = [1 / (1 + math.exp(sum(d) / 3 - one - lean)) - 0.5 for one in d]
    rewards = estimators.resolve("evidence").rewards({"plain": plain, "null": null})
    np.testing.assert_allclose(rewards, expected, atol=1e-6)
    assert rewards.dtype == np.float32


def test_evidence_against_one_unlikely_token_falls_on_it_and_on_what_leads_to_it() -> None:
    plain, null = np.full(40, -1.0, dtype=np.float32), np.full(40, -2.0, dtype=np.float32)
    plain[20] = -9.0
    rewards = estimators.resolve("evidence").rewards({"plain": plain, "null": null})
    assert int(rewards.argmin()) == 20
    assert (rewards[16:22] < 0).all()
    assert rewards[19] < rewards[21]
    assert (rewards[:10] > 0).all()
    assert (rewards[24:] > 0).all()


@given(logprobs, st.floats(-50, 0))
def test_evidence_compares_no_responses_by_what_the_question_adds(values: np.ndarray, shift: float) -> None:
    small = values / 1e5
    evidence = estimators.resolve("evidence").rewards
    once = evidence({"plain": small, "null": np.roll(small, 1)})
    again = evidence({"plain": small + np.float32(shift), "null": np.roll(small, 1)})
    np.testing.assert_allclose(once, again, atol=1e-4)


def test_evidence_leans_low_on_a_response_whose_text_is_rare_anyway() -> None:
    evidence = estimators.resolve("evidence").rewards
    usual, rare = (evidence(dict.fromkeys(("plain", "null"), np.full(9, v, dtype=np.float32))) for v in (-2.0, -3.0))
    np.testing.assert_allclose(usual, 0, atol=1e-6)
    np.testing.assert_allclose(rare, 1 / (1 + math.exp(0.75)) - 0.5, atol=1e-6)


def test_every_estimator_finds_its_branches_in_a_shipped_template() -> None:
    for estimator in estimators.shipped().values():
        assert any(set(estimator.branches) <= t.branches.keys() for t in templates.shipped().values())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="contrast"):
        estimators.resolve("nope")
