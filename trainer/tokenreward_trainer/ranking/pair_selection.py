"""Picks the two responses of a group that make its pair, or says why the group makes none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Reason = Literal["too_few", "all_equal", "tied", "length_ratio"]


class Ranking(BaseModel):
    """What makes a pair.

    Attributes:
        length_penalty: Subtracted from a score for each token, against scorers that like length. It never makes a pair
            by itself: responses of equal score do not become better and worse by their length.
        max_length_ratio: The most that the longer response of a pair may have of the shorter one's tokens; None sets no
            limit. Other pairs of the group are looked at before it is dropped.
        margin: A pair's scores, length penalty included, differ by more than this; else the group is a tie.
        ties: Where several responses share the best or the worst score, `closest` takes the two that are closest in
            length, and `drop` drops the group.
        finished_only: Leave out responses that were cut off by max_tokens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    length_penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_length_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    ties: Literal["closest", "drop"] = "closest"
    finished_only: bool = False


@dataclass(frozen=True)
class Candidate:
    """One scored response.

    Attributes:
        index: Its place in the group.
        score: Higher is better.
        tokens: Its length, end-of-turn token included.
    """

    index: int
    score: float
    tokens: int


def choose(candidates: Sequence[Candidate], ranking: Ranking) -> tuple[Candidate, Candidate] | Reason:
    """Picks a pair.

    Args:
        candidates: The scored responses of one group.
        ranking: What makes a pair.

    Returns:
        The chosen and the rejected response, or why there is no pair.
    """
    if len(candidates) < 2:
        return "too_few"
    if len({candidate.score for candidate in candidates}) == 1:
        return "all_equal"
    differences = {
        (a, b): difference
        for a, b in permutations(candidates, 2)
        if a.score != b.score and (difference := _value(a, ranking) - _value(b, ranking)) > ranking.margin
    }
    if not differences:
        return "tied"
    allowed = {pair: difference for pair, difference in differences.items() if _alike(*pair, ranking)}
    if not allowed:
        return "length_ratio"
    widest = max(allowed.values())
    best = [pair for pair, difference in allowed.items() if math.isclose(difference, widest, rel_tol=1e-9)]
    if len(best) > 1 and ranking.ties == "drop":
        return "tied"
    return min(best, key=lambda pair: (abs(pair[0].tokens - pair[1].tokens), pair[0].index, pair[1].index))


def _value(candidate: Candidate, ranking: Ranking) -> float:
    return candidate.score - ranking.length_penalty * candidate.tokens


def _alike(a: Candidate, b: Candidate, ranking: Ranking) -> bool:
    longer, shorter = max(a.tokens, b.tokens), min(a.tokens, b.tokens)
    return ranking.max_length_ratio is None or longer <= ranking.max_length_ratio * shorter
