"""The responses that a label gets most right and most wrong, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.measures.spans import SpanReport
from tokenreward.audit.plan import Label
from tokenreward.audit.scored import Scored
from tokenreward.audit.sets import SpanItem

#: How many examples of each kind.
COUNT = 3
#: An AUROC, a set, and a place in it.
_Place = tuple[float, str, int]


@dataclass(frozen=True)
class Judged:
    """A response with its scores and what is known of its tokens.

    Attributes:
        item: The response and its known errors.
        scored: Its log-probs.
        tokens: int8 `[T]`, see `audit.tokens`.
    """

    item: SpanItem
    scored: Scored
    tokens: NDArray[np.int8]


@dataclass(frozen=True)
class Example:
    """A response picked for a label.

    Attributes:
        kind: Whether it is one of the best or of the worst.
        set: The set it is from.
        judged: The response.
        rewards: float32 `[T]`, of the label.
        auroc: Of this response alone.
    """

    kind: Literal["best", "worst"]
    set: str
    judged: Judged
    rewards: NDArray[np.float32]
    auroc: float


def pick(label: Label, reports: Sequence[SpanReport], judged: Mapping[str, Sequence[Judged]]) -> list[Example]:
    """Return the best examples of a label, then the worst, at most COUNT of each.

    They are from different sets as long as there are such.

    Args:
        label: The label.
        reports: The figures of each set.
        judged: The responses of each set, by its name.
    """
    found = [
        (float(auroc), report.name, place)
        for report in reports
        if label.name in report.figures
        for place, auroc in enumerate(report.figures[label.name].each)
        if np.isfinite(auroc)
    ]
    found.sort(key=lambda entry: entry[0])
    chosen: list[Example] = []
    kinds: list[tuple[Literal["best", "worst"], Iterable[_Place]]] = [("best", reversed(found)), ("worst", found)]
    for kind, ordered in kinds:
        for auroc, name, place in _varied(ordered):
            one = judged[name][place]
            chosen.append(Example(kind, name, one, one.scored.rewards(label), auroc))
    return chosen


def _varied(ordered: Iterable[_Place]) -> list[_Place]:
    """Return the first of each set, in order, then the next ones of any set."""
    first: dict[str, _Place] = {}
    rest = [entry for entry in ordered if first.setdefault(entry[1], entry) is not entry]
    return [*first.values(), *rest][:COUNT]
