"""z_word, lp_word and step, against their formulas by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tokenreward import estimators
from tokenreward.estimators import Evidence, Moments

#: Four tokens, of which the first two are one word, and the end of the turn.
TEXT, OFFSETS = "abcd ef.", [(0, 2), (2, 4), (4, 7), (7, 8), (8, 8)]
LOGPROBS = np.array([-1.0, -3.0, -0.5, -0.25, -2.0], dtype=np.float32)
MOMENTS = Moments(np.array([1, 2, 0.5, 0, 1], np.float32), np.array([0.75, 2, 0, 0, 0.75], np.float32))
#: (log p + H) / sqrt(V + 1/4)
Z = [0.0, -1 / 1.5, 0.0, -0.25 / 0.5, -1.0]


def evidence(
    logprobs: np.ndarray = LOGPROBS, text: str = TEXT, offsets: Sequence[tuple[int, int]] = OFFSETS
) -> Evidence:
    return Evidence({"plain": logprobs}, text, offsets, moments={"plain": MOMENTS})


def by_hand(minima: list[float], p: dict[str, float]) -> list[float]:
    found = []
    for t, own in enumerate(minima):
        widths = [p["before"] if s < t else p["after"] for s in range(len(minima))]
        near = [math.exp(-0.5 * ((s - t) / width) ** 2) for s, width in enumerate(widths)]
        average = sum(w * v for w, v in zip(near, minima, strict=True)) / sum(near)
        centre = (p["prior"] * p["usual"] + sum(minima[:t])) / (p["prior"] + t)
        found.append((own + p["weight"] * average) / (1 + p["weight"]) - centre - p["bias"])
    return found


@pytest.mark.parametrize(
    ("name", "minima"),
    [("lp_word", [-3.0, -3.0, -0.5, -0.25, -2.0]), ("z_word", [Z[1], Z[1], Z[2], Z[3], Z[4]])],
)
def test_a_word_counts_as_its_least_likely_token_against_what_stood_before(name: str, minima: list[float]) -> None:
    for given in ({}, {"weight": 1.0, "prior": 3.0, "usual": -1.0, "bias": 0.25, "scale": 2.0}):
        estimator = estimators.resolve(name)
        parameters = estimator.chosen(given)
        outcome = estimator.apply(evidence(), given)
        d = by_hand(minima, parameters)
        np.testing.assert_allclose(outcome.difference, d, atol=1e-6)
        expected = [1 / (1 + math.exp(-parameters["scale"] * one)) - 0.5 for one in d]
        np.testing.assert_allclose(outcome.rewards, expected, atol=1e-6)


def test_a_step_counts_as_its_mean_against_what_stood_before_it() -> None:
    text, offsets = "ab\ncd ef.", [(0, 2), (2, 5), (5, 8), (8, 9), (9, 9)]
    p = estimators.resolve("step").chosen({})
    outcome = estimators.resolve("step").apply(evidence(text=text, offsets=offsets))
    second = sum(Z[1:4]) / 3 - (p["prior"] * p["usual"] + Z[0]) / (p["prior"] + 1)
    first = Z[0] - p["usual"]
    end = Z[4] - (p["prior"] * p["usual"] + sum(Z[:4])) / (p["prior"] + 4)  # it is of no step, and keeps its own
    expected = [first, second, second, second, end]
    np.testing.assert_allclose(outcome.difference, np.array(expected) - p["bias"], atol=1e-6)


def test_a_response_of_one_line_is_cut_into_sentences() -> None:
    text, offsets = "Ab. Cd ef.", [(0, 3), (3, 6), (6, 9), (9, 10), (10, 10)]
    d = estimators.resolve("step").apply(evidence(text=text, offsets=offsets)).difference
    assert d[1] == d[2] == d[3]
    assert d[0] != d[1]


@pytest.mark.parametrize("name", ["z_word", "lp_word", "step"])
def test_an_error_never_lifts_what_stands_before_it(name: str) -> None:
    words = " ".join(["word"] * 40)
    offsets = [(5 * n, 5 * n + 4) for n in range(40)]
    moments = {"plain": Moments(np.full(40, 1.0, np.float32), np.full(40, 1.0, np.float32))}
    right = np.full(40, -1.0, dtype=np.float32)
    wrong = right.copy()
    wrong[30] = -9.0
    before, after = (
        estimators.resolve(name).apply(Evidence({"plain": row}, words, offsets, moments=moments)).rewards
        for row in (right, wrong)
    )
    assert (after[:30] <= before[:30] + 1e-7).all()
    assert after[30] < before[30]


def test_which_of_them_need_moments_is_said() -> None:
    assert [estimators.resolve(name).moments for name in ("z_word", "lp_word", "step")] == [True, False, True]
    assert all(estimators.resolve(name).text for name in ("z_word", "lp_word", "step"))
