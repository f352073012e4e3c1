"""Verdicts follow from the intervals."""

from __future__ import annotations

import pytest

from tokenreward.audit.verdict import Advice, on_pairs, on_spans
from tokenreward.statistics.bootstrap import Interval

NAN = float("nan")


def around(value: float, width: float = 0.02) -> Interval:
    return Interval(value, value - width, value + width)


@pytest.mark.parametrize(
    ("auroc", "stratified", "gain", "advice", "words"),
    [
        (0.32, 0.4, -0.45, Advice.no, "reward the errors"),
        (0.51, 0.6, -0.2, Advice.no, "no better than chance: do not train on them"),
        (0.70, 0.50, -0.1, Advice.no, "find errors worse than surprisal does: do not train on them"),
        (0.70, 0.60, -0.1, Advice.doubtful, "worse than surprisal does, yet they know something"),
        (0.80, 0.50, 0.1, Advice.doubtful, "sharpens the model"),
        (0.58, 0.60, 0.1, Advice.doubtful, "weak (AUROC below 0.6): expect little"),
        (0.80, 0.60, 0.01, Advice.yes, "as well as surprisal does"),
        (0.80, 0.60, 0.1, Advice.yes, "better than surprisal does: worth a training run"),
    ],
)
def test_a_verdict_says_whether_to_train(
    auroc: float, stratified: float, gain: float, advice: Advice, words: str
) -> None:
    found = on_spans(around(auroc), around(stratified), around(gain))
    assert found.advice is advice
    assert words in found.words


def test_a_wide_interval_is_no_evidence() -> None:
    assert on_spans(around(0.7, 0.3), around(0.7), around(0.1)).advice is Advice.no
    assert on_spans(around(0.8), around(0.6, 0.2), around(0.1)).advice is Advice.doubtful
    assert on_spans(Interval(0.8, NAN, NAN), around(0.6), around(0.1)).advice is Advice.no


def test_pairs_are_judged_with_length_controlled_where_that_can_be_said() -> None:
    assert "prefer the better" in on_pairs(around(0.7), around(0.6))
    assert "the length" in on_pairs(around(0.7), around(0.5))
    assert "do not tell" in on_pairs(around(0.5), around(0.5))
    assert "the length" not in on_pairs(around(0.5), around(0.5))
    assert "do not train" in on_pairs(around(0.3), around(0.3))
    assert "prefer the better" in on_pairs(around(0.7), Interval(NAN, NAN, NAN))
