"""Figures of a set of responses with known errors, for every label and for the baselines.

A token's score is its reward's negative: low rewards should stand on what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tokenreward.audit.measures import groups, ranks
from tokenreward.audit.measures.controls import Controls, control
from tokenreward.audit.measures.groups import Group
from tokenreward.audit.measures.judged_tokens import SURPRISAL, Tokens
from tokenreward.audit.measures.ranks import Flags, Floats, Ints
from tokenreward.audit.measures.resampled_ranks import Cells
from tokenreward.audit.measures.roc import Curve, roc
from tokenreward.statistics.bootstrap import Interval, Resamples, Sampled


@dataclass(frozen=True)
class SpanFigures:
    """One label on one set.

    Attributes:
        auroc: Pooled over tokens.
        stratified: The same, where only tokens of one decile of log-prob are compared.
        per_response: The mean over responses of each one's own AUROC.
        average_precision: Its chance level is the share of bad tokens.
        controls: What is left of it where place, step, task or kind cannot tell tokens apart, and its gains over
            baselines.
        sign_accuracy: The mean of the share of bad tokens with a reward below 0 and of good tokens with one above. 0
            counts half, and rewards that know nothing get 0.5.
        inside: The mean reward of bad tokens.
        outside: The mean reward of good tokens.
        each: The AUROC of every response, NaN where it has none.
        curve: The ROC curve.
        by_reward: Groups by reward.
        by_place: Groups by place in the response.
        by_length: Groups by length of the response.
        by_kind: Groups by kind of word.
    """

    auroc: Sampled
    stratified: Sampled
    per_response: Sampled
    average_precision: Sampled
    controls: Controls
    sign_accuracy: float
    inside: float
    outside: float
    each: Floats
    curve: Curve
    by_reward: list[Group]
    by_place: list[Group]
    by_length: list[Group]
    by_kind: list[Group]

    @property
    def gain(self) -> Sampled:
        """The AUROC less that of surprisal, paired."""
        return self.controls.gains[SURPRISAL]

    @property
    def gained(self) -> Interval:
        """The gain with its interval."""
        return self.gain.interval


@dataclass(frozen=True)
class SpanReport:
    """One set.

    Attributes:
        name: Its name.
        responses: How many responses there are.
        wrong: How many of them have bad tokens.
        right: How many of them have good tokens.
        tokens: Their judged tokens.
        bad_tokens: Those that are bad.
        left_out: Tokens that nobody judged.
        unseen: Bad spans that no token overlaps.
        figures: By label, the baselines first.
    """

    name: str
    responses: int
    wrong: int
    right: int
    tokens: int
    bad_tokens: int
    left_out: int
    unseen: int
    figures: Mapping[str, SpanFigures]


def measure(
    tokens: Tokens, rewards: Mapping[str, Floats], resamples: Resamples, shown: Mapping[str, Flags] | None = None
) -> dict[str, SpanFigures]:
    """Return the figures of every label.

    Args:
        tokens: The set's tokens.
        rewards: float64 `[N]` for each label. The baselines, with which the others are compared, are among them.
        resamples: Resamples of the responses.
        shown: For each label that shows the model a text, which tokens repeat it, bool `[N]`.
    """
    strata = ranks.strata(tokens.logprob)
    pooled = {name: _pooled(tokens, values, resamples) for name, values in rewards.items()}
    aurocs = {name: auroc for name, (auroc, _) in pooled.items()}
    controls = control(tokens, rewards, aurocs, shown or {}, resamples)
    return {
        name: _figures(tokens, values, strata, resamples, pooled[name], controls[name])
        for name, values in rewards.items()
    }


def _pooled(tokens: Tokens, rewards: Floats, resamples: Resamples) -> tuple[Sampled, Sampled]:
    """Return AUROC and average precision over all tokens."""
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
    controls: Controls,
) -> SpanFigures:
    scores, bad, response = -rewards, tokens.bad, tokens.response
    each = ranks.auroc_by_response(scores, bad, response, tokens.responses)
    weighed = Cells(scores, bad, response, strata).weigh(resamples.weights)
    return SpanFigures(
        auroc=pooled[0],
        stratified=Sampled(ranks.auroc(scores, bad, strata), weighed.auroc),
        per_response=resamples.mean(each),
        average_precision=pooled[1],
        controls=controls,
        sign_accuracy=sign_accuracy(rewards, bad),
        inside=float(rewards[bad].mean()) if bad.any() else float("nan"),
        outside=float(rewards[~bad].mean()) if (~bad).any() else float("nan"),
        each=each,
        curve=roc(scores, bad),
        by_reward=groups.by_reward(rewards, bad),
        by_place=groups.by_place(tokens.place, rewards, bad),
        by_length=groups.by_length(tokens.length, rewards, bad),
        by_kind=groups.by_kind(tokens.kind, rewards, bad),
    )


def sign_accuracy(rewards: Floats, bad: Flags) -> float:
    """Return `SpanFigures.sign_accuracy`, or NaN unless there are both bad and good tokens."""
    if bad.all() or not bad.any():
        return float("nan")
    below = (rewards < 0) + 0.5 * (rewards == 0)
    return float((below[bad].mean() + 1 - below[~bad].mean()) / 2)
