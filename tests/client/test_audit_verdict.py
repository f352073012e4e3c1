"""Verdicts follow from the intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.staged_server import FINGERPRINT
from tokenreward import estimators, templates
from tokenreward.audit import plan
from tokenreward.audit.measures.pairs import PairFigures, PairReport, overall
from tokenreward.audit.output.kept_verdicts import kept_verdicts
from tokenreward.audit.report import AuditReport, Overall
from tokenreward.audit.verdict import Advice, Findings, judged_accuracy, on_pairs, on_spans, prefers_worse
from tokenreward.statistics.bootstrap import Interval, Sampled

NAN = float("nan")


def around(value: float, width: float = 0.02) -> Interval:
    return Interval(value, value - width, value + width)


def findings(
    auroc: float | Interval = 0.8,
    stratified: float | Interval = 0.6,
    surprisal: float = 0.1,
    position: float = 0.1,
    place: float = 0.7,
    place_gain: float = 0.1,
    **other: Any,
) -> Findings:
    given: dict[str, Any] = {
        "wrong": 50,
        "right": 50,
        "auroc": auroc if isinstance(auroc, Interval) else around(auroc),
        "stratified": stratified if isinstance(stratified, Interval) else around(stratified),
        "gains": {"surprisal": around(surprisal), "position": around(position), "step_length": around(0.2)},
        "controlled": {"the same place": around(place), "the same step": Interval(NAN, NAN, NAN)},
        "place_gain": around(place_gain),
    }
    return Findings(**given | other)


@pytest.mark.parametrize(
    ("figures", "advice", "words"),
    [
        ({"auroc": 0.32}, Advice.no, "reward the errors"),
        ({"auroc": 0.51}, Advice.no, "no better than chance: do not train on them"),
        ({"place": 0.51}, Advice.no, "among tokens of the same place they are at 0.51"),
        ({"stratified": 0.5, "surprisal": -0.1}, Advice.no, "worse than surprisal alone: do not train on them"),
        ({"surprisal": -0.1}, Advice.doubtful, "worse than surprisal alone, yet they know something"),
        ({"position": -0.1}, Advice.doubtful, "worse than position alone, yet"),
        ({"stratified": 0.5}, Advice.doubtful, "sharpens the model"),
        ({"auroc": 0.58}, Advice.doubtful, "weak (AUROC below 0.6): expect little"),
        ({"surprisal": 0.01, "position": 0.0}, Advice.doubtful, "not plainly better than surprisal or position alone"),
        ({"place_gain": 0.01}, Advice.doubtful, "at the same place of a response not plainly better than surprisal"),
        ({}, Advice.yes, "better than every baseline does, at the same place too: worth a training run"),
        ({"asks_model": False}, Advice.doubtful, "no model read the response"),
    ],
)
def test_a_verdict_says_whether_to_train(figures: dict[str, Any], advice: Advice, words: str) -> None:
    found = on_spans(findings(**figures))
    assert found.advice is advice
    assert words in found.words


def test_a_wide_interval_is_no_evidence() -> None:
    assert on_spans(findings(auroc=around(0.7, 0.3))).advice is Advice.no
    assert on_spans(findings(stratified=around(0.6, 0.2))).advice is Advice.doubtful
    assert on_spans(findings(auroc=Interval(0.8, NAN, NAN))).advice is Advice.no


def test_below_thirty_responses_of_a_kind_there_is_no_verdict_and_it_says_how_many_it_takes() -> None:
    few = on_spans(findings(wrong=29))
    assert few.advice is Advice.unknown
    assert few.words == "too few to say: 29 responses with errors, and it takes 30"
    # An interval of 0.1 on either side of 0.55 from 20 responses: four times as many would just leave chance out.
    unclear = on_spans(findings(wrong=20, auroc=around(0.55, 0.1)))
    assert unclear.words.endswith("it takes 30, and about 80 to tell such labels from chance")
    assert "5 responses with something right" in on_spans(findings(right=5)).words
    assert on_spans(findings(wrong=30, right=30)).advice is Advice.yes
    assert on_pairs(around(0.9), around(0.9), 29) == "too few to say: 29 pairs, and it takes 30"


def test_pairs_are_judged_with_length_controlled_where_that_can_be_said() -> None:
    assert "prefer the better" in on_pairs(around(0.7), around(0.6))
    assert "the length" in on_pairs(around(0.7), around(0.5))
    assert "do not tell" in on_pairs(around(0.5), around(0.5))
    assert "the length" not in on_pairs(around(0.5), around(0.5))
    assert on_pairs(around(0.3), around(0.3)) == "their mean prefers the worse response (0.30): do not train on them"
    assert "prefer the better" in on_pairs(around(0.7), Interval(NAN, NAN, NAN))
    assert prefers_worse(around(0.3), around(0.3))
    assert not prefers_worse(around(0.3), around(0.5))
    assert not prefers_worse(around(0.3), around(0.3), 10)
    assert prefers_worse(around(0.7), around(0.3))
    assert judged_accuracy(around(0.7), around(0.3)) == around(0.3)
    assert judged_accuracy(around(0.7), Interval(NAN, NAN, NAN)) == around(0.7)


def sampled(value: float) -> Sampled:
    return Sampled(value, np.full(20, value))


def report(pair_sets: list[str], same_task: float = 0.7) -> AuditReport:
    """A label that finds errors better than every baseline, and prefers the worse response of these pairs."""
    labels = plan.labels([templates.resolve("plain")], [estimators.resolve("lp_word")])
    figures = map(sampled, (0.8, 0.7, 0.7, 0.7, same_task, 0.7))
    found = Overall(*figures, {"surprisal": sampled(0.1)}, sampled(0.1), 40, 40, 1)
    preferred = PairFigures(*map(sampled, (0.2, 0.2, 0.2, 0.2, -0.1)))
    return AuditReport(
        labels=labels,
        left_out=[],
        unfit={},
        fingerprint=FINGERPRINT,
        spans=[],
        pairs=[PairReport(name, 40, 0.5, {"lp_word": preferred}) for name in pair_sets],
        overall={"lp_word": found},
        overall_pairs={"lp_word": overall([preferred])},
        failures=[],
        examples={},
        responses=40,
        tokens=400,
        scoring_seconds=0,
        statistics_seconds=0,
        resamples=20,
        seed=0,
    )


def test_what_only_tells_tasks_apart_does_not_survive_the_control() -> None:
    (kept,) = kept_verdicts(report([], same_task=0.47))
    assert kept.advice == "no"
    assert "among tokens of the same place of the same task they are at 0.47" in kept.words
    (kept,) = kept_verdicts(report([], same_task=NAN))
    assert kept.advice == "yes"


def test_the_service_keeps_the_warning_that_a_label_prefers_worse_responses() -> None:
    (kept,) = kept_verdicts(report(["mine"]))
    assert kept.words.startswith("their mean prefers the worse response of a pair (mine 0.20); these labels find")
    (kept,) = kept_verdicts(report([f"a set with a long name {n}" for n in range(30)]))
    assert kept.words.startswith("their mean prefers the worse response of a pair; these labels find the errors better")
    assert kept.words.endswith("worth a training run")
