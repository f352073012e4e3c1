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
    """name: in files.  heading: for people.  share: in [0, 1]."""

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

    interval: of the mean difference, by a bootstrap over prompts.  higher, lower, equal: prompts, by the checkpoint's
    value against the baseline's.  p: two-sided exact sign test of higher against lower; of single 0/1 answers this
    is McNemar's exact test. 1 if no prompt differs.
    """

    interval: Interval
    higher: int
    lower: int
    equal: int
    p: float


@dataclass(frozen=True)
class Slice:
    """All prompts, or those of one family and level.

    values: checkpoint -> metric -> its mean over prompts.  differences: the same for all but the baseline.
    """

    name: str
    prompts: int
    values: Mapping[str, Mapping[str, Interval]]
    differences: Mapping[str, Mapping[str, Difference]]


@dataclass(frozen=True)
class WinRate:
    """What a judge preferred: one checkpoint's answers, or the baseline's. Shares are in [0, 1], a tie is half.

    wins, ties, losses: prompts.  identical: ties that nobody was asked about, the answers being the same text.
    unusable: replies that are no verdict.  left_out: prompts that lack a verdict in one order or both; they count
    nowhere.  rate: the win rate.  length_controlled: AlpacaEval 2's; None where there are too few verdicts.
    consistent: share of pairs of which both orders name the same answer.  shown_first: how often the answer shown
    first was preferred; 0.5 without a bias for a position.  characters: mean lengths, the checkpoint's and the
    baseline's.  p: two-sided exact sign test of wins against losses.
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
    """judge: what identifies it.  against: whose answers all others were compared with.

    formula: AlpacaEval's name of the length control that was used.  rates: checkpoint -> what came of it.
    preferences: checkpoint -> prompt by prompt, in [0, 1]; None where a prompt was left out.
    """

    judge: Mapping[str, Any]
    against: str
    formula: str
    rates: Mapping[str, WinRate]
    preferences: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Evaluation:
    """baseline: the name of the first checkpoint.  models: names in order.  n: answers to each prompt.

    scorer: its identity; None without one.  unscored: checkpoint -> answers that the scorer could not score, which
    count in no score.  slices: all prompts first.  identical: names of checkpoints with the same content.  judged: what
    a judge preferred; None without one.
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
        return self.slices[0]

    def to_json(self) -> bytes:
        """Strict JSON: what is not known is null."""
        return json.dumps(_known(asdict(self)), indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _known(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_known(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
