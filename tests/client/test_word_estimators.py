"""z_word, lp_word and step, against their formulas by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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


def neighbours(minima: list[float], p: Mapping[str, float]) -> list[float]:
    found = []
    for t, own in enumerate(minima):
        widths = [p["before"] if s < t else p["after"] for s in range(len(minima))]
        near = [math.exp(-0.5 * ((s - t) / width) ** 2) for s, width in enumerate(widths)]
        average = sum(w * v for w, v in zip(near, minima, strict=True)) / sum(near)
        found.append((own + p["weight"] * average) / (1 + p["weight"]))
    return found


def check(name: str, given: dict[str, float], d: list[float], found: Evidence) -> None:
    estimator = estimators.resolve(name)
    outcome = estimator.apply(found, given)
    np.testing.assert_allclose(outcome.difference, d, atol=1e-6)
    scale = estimator.chosen(given)["scale"]
    np.testing.assert_allclose(outcome.rewards, [1 / (1 + math.exp(-scale * one)) - 0.5 for one in d], atol=1e-6)


@pytest.mark.parametrize("given", [{}, {"weight": 1.0, "after": 2.0, "centre": 0.25, "scale": 2.0}])
def test_z_word_is_the_least_z_of_a_word_and_a_little_of_its_neighbours(given: dict[str, float]) -> None:
    p = estimators.resolve("z_word").chosen(given)
    check("z_word", given, [n - p["centre"] for n in neighbours([Z[1], *Z[1:]], p)], evidence())


@pytest.mark.parametrize("given", [{}, {"weight": 1.0, "prior": 3.0, "usual": -1.0, "centre": 0.25, "scale": 2.0}])
def test_lp_word_compares_a_word_with_what_stood_before_it(given: dict[str, float]) -> None:
    p = estimators.resolve("lp_word").chosen(given)
    m = [-3.0, -3.0, -0.5, -0.25, -2.0]
    level = [(p["prior"] * p["usual"] + sum(m[:t])) / (p["prior"] + t) for t in range(5)]
    d = [n - c - p["centre"] for n, c in zip(neighbours(m, p), level, strict=True)]
    check("lp_word", given, d, evidence())


def test_a_step_counts_as_the_mean_of_its_words() -> None:
    text, offsets = "ab\ncd ef.", [(0, 2), (2, 5), (5, 8), (8, 9), (9, 9)]
    centre = estimators.resolve("step").chosen({})["centre"]
    second = (-3.0 - 0.5 - 0.25) / 3
    d = [one - centre for one in (-1.0, second, second, second, -2.0)]  # the end of the turn is of no step
    check("step", {}, d, evidence(text=text, offsets=offsets))


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
    assert [estimators.resolve(name).moments for name in ("z_word", "lp_word", "step")] == [True, False, False]
    assert all(estimators.resolve(name).text for name in ("z_word", "lp_word", "step"))
