"""The rewards of a labeled file in numbers, in one pass. Of every pair no more is kept than its margin."""

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

    Attributes:
        responses: How many have rewards.
        failed: How many have none.
        tokens: The tokens of all responses.
        positive: How many tokens have a reward above 0.
        total: The sum of all rewards.
        squares: The sum of their squares.
        histogram: Tokens by reward, BINS bins over [-0.5, 0.5].
        position: Rewards by tenth of the response.
        length: Rewards by tokens of the response, in LENGTHS.
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
        """The mean reward of a token."""
        return self.total / self.tokens if self.tokens else float("nan")

    @property
    def deviation(self) -> float:
        """The standard deviation of the rewards."""
        return float(np.sqrt(max(0.0, self.squares / self.tokens - self.mean**2))) if self.tokens else float("nan")

    @property
    def mean_sum(self) -> float:
        """The mean sum of rewards of a response."""
        return self.total / self.responses if self.responses else float("nan")

    def add(self, rewards: Floats) -> None:
        """Add the rewards of one response."""
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
    """The rewards of a labeled file.

    Attributes:
        rows: How many rows it has.
        sides: Each column of responses, by name.
        pairs: Preference rows whose responses both have rewards. The rest is about them.
        won: Pairs whose chosen response has the higher sum of rewards.
        won_by_mean: Pairs whose chosen response has the higher mean reward.
        margins: The sum of rewards of each chosen response less that of its rejected one.
    """

    rows: int = 0
    sides: dict[str, SideStatistics] = field(default_factory=dict)
    pairs: int = 0
    won: int = 0
    won_by_mean: int = 0
    margins: array[float] = field(default_factory=lambda: array("d"))

    def margin_histogram(self) -> tuple[Floats, Floats]:
        """Return counts and edges, symmetrical around 0. The outer bins take the outliers."""
        values = np.asarray(self.margins)
        end = max(1e-6, float(np.quantile(np.abs(values), 0.98))) if len(values) else 1.0
        edges = np.linspace(-end, end, _MARGINS + 1)
        return np.histogram(np.clip(values, -end, end), edges)[0].astype(np.float64), edges


def gather(rows: Iterable[Mapping[str, Any]]) -> Statistics:
    """Return the statistics of labeled rows. Raises BadInput."""
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
