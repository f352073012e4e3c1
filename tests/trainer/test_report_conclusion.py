"""What a training report says first, and how its curves are drawn."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest

from tokenreward_trainer.report.charts import curves
from tokenreward_trainer.report.conclusion import conclusion, sentences
from tokenreward_trainer.training.held_out import Outcome
from tokenreward_trainer.training.run_record import RunRecord


def record(name: str, outcomes: Sequence[Outcome] = (), log: Sequence[dict[str, float]] = (), **more: Any) -> RunRecord:
    return RunRecord(name, {}, "none", None, [*log], 1.0, 8, "packed", [], outcomes=[*outcomes], **more)


def judged(right: int, count: int, correlation: float | None = None) -> list[Outcome]:
    return [Outcome(1.0 if number < right else -1.0, correlation) for number in range(count)]


def test_without_held_out_pairs_it_says_that_it_cannot_say() -> None:
    assert sentences([record("DPO")]) == [
        "No pair was held out, so this report cannot say whether training helped: set data.eval_share."
    ]


def test_a_method_that_compares_nothing_is_no_reason_to_ask_for_held_out_pairs() -> None:
    (line,) = sentences([record("SFT", held_out=12)])
    assert line.startswith("SFT compares no responses.")


def test_without_a_baseline_it_says_what_is_missing() -> None:
    (line,) = sentences([record("DPO", judged(30, 40))])
    assert line.startswith("DPO prefers the chosen response in 75% (95% interval ")
    assert "of 40 held-out pairs. There is no baseline" in line


@pytest.mark.parametrize(
    ("before", "after", "count", "says"),
    [
        (20, 38, 40, "DPO-REG is better on these pairs, by more than chance explains."),
        (38, 20, 40, "DPO-REG is worse on these pairs, by more than chance explains."),
        (20, 21, 40, "Whether DPO-REG is better or worse than DPO cannot be told from these pairs."),
        (1, 5, 5, "5 pairs are too few to say anything."),
    ],
)
def test_it_says_better_worse_or_unknown_by_the_interval_of_the_paired_difference(
    before: int, after: int, count: int, says: str
) -> None:
    (line,) = sentences([record("DPO", judged(before, count)), record("DPO-REG", judged(after, count))])
    assert line.startswith(
        f"On {count} held-out pairs, DPO-REG prefers the chosen response in {after / count:.0%} (95%"
    )
    assert f"a difference of {100 * (after - before) / count:+.0f} points, 95% interval" in line
    assert line.endswith(says)


def test_it_says_whether_learned_token_rewards_follow_the_labels() -> None:
    found = sentences([record("DPO", judged(9, 20, 0.1)), record("DPO-REG", judged(9, 20, 0.6))])
    assert "mean correlation of 0.60 within a pair, those of DPO with 0.10 (difference +0.50" in found[1]


def test_a_name_is_text_and_no_markup() -> None:
    assert "<b>" not in conclusion([record("<b>", judged(3, 12))])


def svg_of(records: Sequence[RunRecord]) -> str:
    return base64.b64decode(curves(records).uri.partition("base64,")[2]).decode()


def logs(offset: float) -> list[dict[str, float]]:
    return [{"step": step, "loss": 0.7 - step / 100 + offset, "eval_loss": 0.7} for step in range(1, 6)]


def test_curves_that_lie_on_each_other_are_drawn_apart() -> None:
    alone = svg_of([record("DPO", log=logs(0))])
    both = svg_of([record("DPO", log=logs(0)), record("DPO-REG", log=logs(1e-6))])
    assert "difference" not in alone
    assert both.count(">difference<") == 4
    assert "Strips: DPO-REG less DPO." in curves([record("DPO"), record("DPO-REG")]).description


def test_a_picture_follows_the_readers_choice_of_light_or_dark() -> None:
    svg = svg_of([record("DPO", log=logs(0))])
    assert "@media (prefers-color-scheme:dark)" in svg
    assert "var(--c0)" in svg
    assert "fill: #ffffff" not in svg
    assert "#000000" not in svg


def test_the_first_of_several_sets_is_what_eval_means() -> None:
    log = [{"step": 1, "eval_easy_loss": 0.5, "eval_hard_loss": 0.9}]
    assert record("DPO", log=log, eval_sets=["easy", "hard"]).final("eval_loss") == 0.5
