"""What an audit says of one set of responses with known errors, for every label and for the baselines.

A token's score is its reward's negative: low rewards should stand on what is wrong.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenreward.audit.measures import groups, ranks
from tokenreward.audit.measures.groups import Group
from tokenreward.audit.measures.ranks import Cells, Curve, Flags, Floats, Ints, roc
from tokenreward.audit.tokens import BAD, LEFT_OUT
from tokenreward.statistics.bootstrap import Interval, Resamples, Sampled

SURPRISAL, RANDOM, POSITION = "surprisal", "random", "position"


@dataclass(frozen=True)
class Tokens:
    """The judged tokens of a set's responses, one after another. [N] throughout.

    bad: whether a token is wrong.  response: which response it is of, from 0.  logprob: log p(y_t | x, y_<t).
    place: where in its response it stands, in [0, 1).  length: tokens of its response.
    """

    bad: Flags
    response: Ints
    logprob: Floats
    place: Floats
    length: Ints
    responses: int

    @property
    def surprisal(self) -> Floats:
        """The baseline as rewards: tanh((l_t - c) / 2) / 2, c the mean of l over the set."""
        centred: Floats = np.tanh((self.logprob - self.logprob.mean()) / 2) / 2
        return centred


def collect(judged: Sequence[NDArray[np.int8]], logprobs: Sequence[Floats]) -> Tokens:
    """judged, logprobs: of every response, all its tokens."""
    sizes = [len(one) for one in judged]
    kept = np.concatenate([one != LEFT_OUT for one in judged]) if sizes else np.zeros(0, bool)
    response = np.repeat(np.arange(len(sizes)), sizes)[kept]
    place = np.concatenate([np.arange(n) / n for n in sizes])[kept]
    bad = (np.concatenate(list(judged)) == BAD)[kept]
    return Tokens(bad, response, np.concatenate(list(logprobs))[kept], place, np.repeat(sizes, sizes)[kept], len(sizes))


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


def baselines(tokens: Tokens, name: str, seed: int) -> dict[str, Floats]:
    """Rewards that anybody has without a label: surprisal, chance, and that later tokens are worse."""
    chance = np.random.default_rng([seed, zlib.crc32(name.encode()), 1])
    return {
        SURPRISAL: tokens.surprisal,
        RANDOM: chance.uniform(-0.5, 0.5, len(tokens.bad)),
        POSITION: 0.5 - tokens.place,
    }


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
