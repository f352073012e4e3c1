"""What an audit says of one set of responses with known errors, for every label and for the baselines.

A token's score is its reward's negative: low rewards should stand on what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tokenreward.audit.measures import groups, ranks
from tokenreward.audit.measures.groups import Group
from tokenreward.audit.measures.judged_tokens import SURPRISAL, Tokens
from tokenreward.audit.measures.ranks import Flags, Floats, Ints
from tokenreward.audit.measures.resampled_ranks import Cells
from tokenreward.audit.measures.roc import Curve, roc
from tokenreward.statistics.bootstrap import Interval, Resamples, Sampled


@dataclass(frozen=True)
class SpanFigures:
    """One label on one set.

    auroc: pooled over tokens.  stratified: only tokens of one decile of log-prob are compared.  per_response: the mean
    over responses of each one's own.  average_precision: its chance level is the share of bad tokens.
    gain: auroc less surprisal's, paired.  sign_accuracy: the mean of the share of bad tokens with a reward below 0 and
    of good tokens with one above (0 counts half), 0.5 for rewards that know nothing.  inside, outside: mean reward of
    bad and of good tokens.  each: the AUROC of every response, NaN where it has none.
    """

    auroc: Sampled
    stratified: Sampled
    per_response: Sampled
    average_precision: Sampled
    gain: Sampled
    sign_accuracy: float
    inside: float
    outside: float
    each: Floats
    curve: Curve
    by_reward: list[Group]
    by_place: list[Group]
    by_length: list[Group]

    @property
    def gained(self) -> Interval:
        return self.gain.interval


@dataclass(frozen=True)
class SpanReport:
    """One set. left_out: tokens that nobody judged.  unseen: bad spans that no token overlaps.
    figures: by label, the baselines first."""

    name: str
    responses: int
    tokens: int
    bad_tokens: int
    left_out: int
    unseen: int
    figures: Mapping[str, SpanFigures]


def measure(tokens: Tokens, rewards: Mapping[str, Floats], resamples: Resamples) -> dict[str, SpanFigures]:
    """rewards: by label, [N] each; SURPRISAL, which the others are compared with, among them."""
    strata = ranks.strata(tokens.logprob)
    pooled = {name: _pooled(tokens, values, resamples) for name, values in rewards.items()}
    return {
        name: _figures(tokens, values, strata, resamples, pooled[name], pooled[SURPRISAL][0])
        for name, values in rewards.items()
    }


def _pooled(tokens: Tokens, rewards: Floats, resamples: Resamples) -> tuple[Sampled, Sampled]:
    """AUROC and average precision over all tokens."""
    weighed = Cells(-rewards, tokens.bad, tokens.response).weigh(resamples.weights)
    return (
        Sampled(ranks.auroc(-rewards, tokens.bad), weighed.auroc),
        Sampled(ranks.average_precision(-rewards, tokens.bad), weighed.average_precision),
    )


def _figures(
    tokens: Tokens,
    rewards: Floats,
    strata: Ints,
    resamples: Resamples,
    pooled: tuple[Sampled, Sampled],
    surprisal: Sampled,
) -> SpanFigures:
    scores, bad, response = -rewards, tokens.bad, tokens.response
    each = ranks.auroc_by_response(scores, bad, response, tokens.responses)
    weighed = Cells(scores, bad, response, strata).weigh(resamples.weights)
    return SpanFigures(
        auroc=pooled[0],
        stratified=Sampled(ranks.auroc(scores, bad, strata), weighed.auroc),
        per_response=resamples.mean(each),
        average_precision=pooled[1],
        gain=pooled[0] - surprisal,
        sign_accuracy=sign_accuracy(rewards, bad),
        inside=float(rewards[bad].mean()) if bad.any() else float("nan"),
        outside=float(rewards[~bad].mean()) if (~bad).any() else float("nan"),
        each=each,
        curve=roc(scores, bad),
        by_reward=groups.by_reward(rewards, bad),
        by_place=groups.by_place(tokens.place, rewards, bad),
        by_length=groups.by_length(tokens.length, rewards, bad),
    )


def sign_accuracy(rewards: Floats, bad: Flags) -> float:
    """See SpanFigures; NaN unless there are both bad and good tokens."""
    if bad.all() or not bad.any():
        return float("nan")
    below = (rewards < 0) + 0.5 * (rewards == 0)
    return float((below[bad].mean() + 1 - below[~bad].mean()) / 2)
