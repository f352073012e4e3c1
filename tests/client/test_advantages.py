"""RLSD and CEPO as their papers' formulas say, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tokenreward.advantages import cepo, group_advantages, rlsd


def test_rlsd_is_its_formula() -> None:
    difference = np.array([0.1, -0.1, 3.0, -3.0])
    found = rlsd(difference, 2.0, mix=0.5, clip=0.2)
    weights = [math.exp(0.1), math.exp(-0.1), 1.2, 0.8]
    assert found == pytest.approx([2.0 * (0.5 + 0.5 * w) for w in weights])


def test_a_negative_advantage_turns_the_difference_round_and_keeps_its_sign() -> None:
    found = rlsd(np.array([0.1, -0.1]), -1.0, mix=1.0, clip=0.2)
    assert found == pytest.approx([-math.exp(-0.1), -math.exp(0.1)])


def test_without_a_mix_every_token_has_the_responses_advantage() -> None:
    assert rlsd(np.array([5.0, -5.0]), 0.7, mix=0.0, clip=0.2) == pytest.approx([0.7, 0.7])
    assert rlsd(np.array([1e6, -1e6]), 0.7, mix=1.0, clip=0.2) == pytest.approx([0.84, 0.56])


def test_cepo_is_rlsd_with_another_difference() -> None:
    difference = np.array([0.05, -0.3])
    assert cepo(difference, 1.5, mix=0.4, clip=0.1) == pytest.approx(rlsd(difference, 1.5, mix=0.4, clip=0.1))


@pytest.mark.parametrize("wrong", [{"mix": -0.1, "clip": 0.2}, {"mix": 0.5, "clip": 1.5}, {"mix": math.nan, "clip": 0}])
def test_values_outside_the_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        rlsd(np.array([0.0]), 1.0, **wrong)


def test_group_advantages_are_centred_and_scaled() -> None:
    assert group_advantages(np.array([1.0, 0.0, 0.0, 1.0])) == pytest.approx([1, -1, -1, 1], abs=1e-5)
    assert group_advantages(np.array([0.5, 0.5])) == pytest.approx([0, 0])
