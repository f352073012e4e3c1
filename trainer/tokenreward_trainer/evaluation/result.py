"""What an evaluation found, as data: intervals, differences, counts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenreward.statistics.bootstrap import Interval


@dataclass(frozen=True)
class Metric:
    """A quantity that checkpoints are compared by.

    Attributes:
        name: Its name in files.
        heading: Its name for people.
        share: Whether it lies in [0, 1].
    """

    name: str
    heading: str
    share: bool = False


#: In the order in which they are shown.
METRICS = (
    Metric("score", "mean score"),
    Metric("right", "fully right", share=True),
    Metric("tokens", "tokens"),
    Metric("finished", "finished", share=True),
)


@dataclass(frozen=True)
class Difference:
    """A checkpoint less the baseline, on the same prompts.

    Attributes:
        interval: The mean difference, with a bootstrap over prompts.
        higher: Prompts on which the checkpoint's value is the higher one.
        lower: Prompts on which it is the lower one.
        equal: Prompts on which they are equal.
        p: Two-sided exact sign test of higher against lower, 1 if no prompt differs. Of single 0/1 answers this is
            McNemar's exact test.
    """

    interval: Interval
    higher: int
    lower: int
    equal: int
    p: float


@dataclass(frozen=True)
class Slice:
    """All prompts, or those of one family and level.

    Attributes:
        name: `all`, or the family and level.
        prompts: The number of prompts.
        values: By checkpoint and metric, the mean over prompts.
        differences: The same for the differences of all checkpoints but the baseline.
    """

    name: str
    prompts: int
    values: Mapping[str, Mapping[str, Interval]]
    differences: Mapping[str, Mapping[str, Difference]]


@dataclass(frozen=True)
class WinRate:
    """What a judge preferred: one checkpoint's answers, or the baseline's. Shares are in [0, 1], a tie is half.

    Attributes:
        wins: Prompts on which the checkpoint's answer was preferred.
        ties: Prompts without a preference.
        losses: Prompts on which the baseline's was preferred.
        identical: Ties that the judge was not asked about because the answers are the same text.
        unusable: Replies that are no verdict.
        left_out: Prompts that lack a verdict in one order or both; they count nowhere.
        rate: The win rate.
        length_controlled: AlpacaEval 2's win rate; None where there are too few verdicts.
        consistent: The share of pairs of which both orders name the same answer.
        shown_first: How often the answer shown first was preferred; 0.5 without a bias for a position.
        characters: Mean lengths, the checkpoint's and the baseline's.
        p: Two-sided exact sign test of wins against losses.
    """

    wins: int
    ties: int
    losses: int
    identical: int
    unusable: int
    left_out: int
    rate: Interval
    length_controlled: Interval | None
    consistent: Interval
    shown_first: Interval
    characters: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Judged:
    """What a judge said of all checkpoints.

    Attributes:
        judge: What identifies it.
        against: Whose answers all others were compared with.
        formula: AlpacaEval's name of the length control that was used.
        rates: Win rates by checkpoint.
        preferences: By checkpoint, the preference on each prompt, in [0, 1]; None where a prompt was left out.
    """

    judge: Mapping[str, Any]
    against: str
    formula: str
    rates: Mapping[str, WinRate]
    preferences: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        prompts: The name of the file of prompts.
        baseline: The name of the first checkpoint.
        models: The checkpoints' names in order.
        n: Answers to each prompt.
        settings: How checkpoints answered.
        scorer: The scorer's identity; None without one.
        unscored: By checkpoint, answers that the scorer could not score, which count in no score.
        identical: Names of checkpoints with the same content.
        slices: All prompts first.
        judged: What a judge preferred; None without one.
    """

    prompts: str
    baseline: str
    models: Sequence[str]
    n: int
    settings: Mapping[str, Any]
    scorer: Mapping[str, Any] | None
    unscored: Mapping[str, int]
    identical: Sequence[Sequence[str]]
    slices: Sequence[Slice]
    judged: Judged | None = None

    @property
    def overall(self) -> Slice:
        """The slice of all prompts."""
        return self.slices[0]

    def to_json(self) -> bytes:
        """Returns strict JSON, in which numbers that are not known are null."""
        return json.dumps(_known(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _known(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_known(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
