"""A labeled file in numbers, in one pass; of every pair no more is kept than its margin."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokenreward.errors import BadInput
from tokenreward.statistics.running_sums import Floats, Sums

BINS = 20  # of the reward histogram, over [-0.5, 0.5]
PARTS = 10  # of a response, by position
#: Responses of up to so many tokens; the last group has no end.
LENGTHS = (32, 64, 128, 256, 512, 1024, 2048)
_MARGINS = 21  # bins of the pairs' margin
_EDGES = np.linspace(-0.5, 0.5, BINS + 1)


@dataclass
class SideStatistics:
    """One column of responses: `chosen`, `rejected`, or the only one.

    histogram: tokens by reward, BINS bins over [-0.5, 0.5].  position: mean reward by tenth of the response.
    length: mean reward by tokens of the response (LENGTHS).  sums: mean sum over the responses.
    """

    responses: int = 0
    failed: int = 0
    tokens: int = 0
    positive: int = 0
    total: float = 0.0
    squares: float = 0.0
    histogram: Floats = field(default_factory=lambda: np.zeros(BINS))
    position: Sums = field(default_factory=lambda: Sums(PARTS))
    length: Sums = field(default_factory=lambda: Sums(len(LENGTHS) + 1))

    @property
    def mean(self) -> float:
        return self.total / self.tokens if self.tokens else float("nan")

    @property
    def deviation(self) -> float:
        return float(np.sqrt(max(0.0, self.squares / self.tokens - self.mean**2))) if self.tokens else float("nan")

    @property
    def mean_sum(self) -> float:
        return self.total / self.responses if self.responses else float("nan")

    def add(self, rewards: Floats) -> None:
        n = len(rewards)
        self.responses += 1
        self.tokens += n
        self.positive += int((rewards > 0).sum())
        self.total += float(rewards.sum())
        self.squares += float((rewards**2).sum())
        self.histogram += np.histogram(np.clip(rewards, -0.5, 0.5), _EDGES)[0]
        self.position.add(np.arange(n) * PARTS // n, rewards)
        self.length.add(np.full(n, np.searchsorted(LENGTHS, n)), rewards)


@dataclass
class Statistics:
    """sides: by name.  pairs: preference rows whose responses both have rewards; the rest is about them.

    won, won_by_mean: chosen's sum (mean) of rewards is above rejected's.  margins: sums chosen - rejected.
    """

    rows: int = 0
    sides: dict[str, SideStatistics] = field(default_factory=dict)
    pairs: int = 0
    won: int = 0
    won_by_mean: int = 0
    margins: array[float] = field(default_factory=lambda: array("d"))

    def margin_histogram(self) -> tuple[Floats, Floats]:
        """Counts and edges, symmetrical around 0, the outer bins taking the outliers."""
        values = np.asarray(self.margins)
        end = max(1e-6, float(np.quantile(np.abs(values), 0.98))) if len(values) else 1.0
        edges = np.linspace(-end, end, _MARGINS + 1)
        return np.histogram(np.clip(values, -end, end), edges)[0].astype(np.float64), edges


def gather(rows: Iterable[Mapping[str, Any]]) -> Statistics:
    """The statistics of labeled rows. Raises BadInput."""
    found = Statistics()
    names: tuple[str, ...] = ()
    for number, row in enumerate(rows):
        if not names:
            names = ("chosen", "rejected") if "chosen_token_rewards" in row else ("response",)
            found.sides = {name: SideStatistics() for name in names}
        found.rows += 1
        rewards = [_rewards(row, name, number) for name in names]
        for name, values in zip(names, rewards, strict=True):
            if values is None:
                found.sides[name].failed += 1
            else:
                found.sides[name].add(values)
        chosen, rejected = rewards if len(rewards) == 2 else (None, None)
        if chosen is not None and rejected is not None:
            found.pairs += 1
            found.margins.append(float(chosen.sum() - rejected.sum()))
            found.won += found.margins[-1] > 0
            found.won_by_mean += bool(chosen.mean() > rejected.mean())
    return found


def _rewards(row: Mapping[str, Any], name: str, number: int) -> Floats | None:
    start = f"{name}_" if name != "response" else ""
    column = f"{start}token_rewards"
    if column not in row:
        raise BadInput(f"row {number}: no column {column!r}; `tokenreward label` makes it")
    if row[column] is None:
        return None
    values = np.asarray(row[column], dtype=np.float64)
    if values.ndim != 1 or not len(values) or len(values) != len(row.get(f"{start}token_ids") or ()):
        raise BadInput(f"row {number}, column {column!r}: not one reward per token")
    return values
