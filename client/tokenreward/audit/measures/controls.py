"""Controls: what is left of a label where place, step, task, kind of word or a shown text cannot tell tokens apart.

Tokens are compared only with tokens that are alike in some respect. A label that knows nothing but that respect is at
0.5 then, whatever its AUROC over all tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tokenreward.audit.measures import ranks
from tokenreward.audit.measures.judged_tokens import LENGTH, PLACES, POSITION, STEP_LENGTH, SURPRISAL, Tokens
from tokenreward.audit.measures.ranks import Flags, Floats, Ints
from tokenreward.audit.measures.resampled_ranks import Cells, auroc_in_parts
from tokenreward.audit.measures.surroundings import NAME, NUMBER, STYLE
from tokenreward.statistics.bootstrap import Resamples, Sampled

#: Drifts are shown for rewards that are scaled to this standard deviation, so that labels can be compared.
DEVIATION = 0.195
#: The baseline of a label that shows a text: words that do not stand in it are wrong.
SHOWN = "shown text"


@dataclass(frozen=True)
class Controls:
    """One label on one set. A value that the set does not define is NaN.

    Attributes:
        same_place: The AUROC among tokens in the same tenth of their responses.
        same_step: The AUROC among tokens of steps with the same number, where most responses have several steps.
        same_task: The AUROC among tokens in the same tenth of responses of the same task, where there are several.
        same_kind: The AUROC among tokens of words of the same kind.
        same_shown: The AUROC among tokens whose words all stand in the shown text, and among those whose words do not.
        gains: The AUROC less that of each baseline, paired. Baselines of place and length have the direction that does
            better on the set.
        place_gain: `same_place` less that of surprisal, paired.
        drift: The mean reward of good tokens in the last tenth of responses less that in the first, for rewards of
            standard deviation DEVIATION.
        content: The mean reward of good numbers and names less that of good function words, scaled alike.
    """

    same_place: Sampled
    same_step: Sampled
    same_task: Sampled
    same_kind: Sampled
    same_shown: Sampled
    gains: Mapping[str, Sampled]
    place_gain: Sampled
    drift: Sampled
    content: float


def control(
    tokens: Tokens,
    rewards: Mapping[str, Floats],
    aurocs: Mapping[str, Sampled],
    shown: Mapping[str, Flags],
    resamples: Resamples,
) -> dict[str, Controls]:
    """Return the controls of every label.

    Args:
        tokens: The set's tokens.
        rewards: float64 `[N]` for each label, baselines too.
        aurocs: The AUROC of each.
        shown: For each label that shows the model a text, which tokens repeat it, bool `[N]`.
        resamples: Resamples of the responses.
    """
    at_place = {name: within(tokens, values, tokens.tenth, resamples) for name, values in rewards.items()}
    return {
        name: Controls(
            same_place=at_place[name],
            same_step=within(tokens, values, tokens.step, resamples) if tokens.stepped else undefined(resamples),
            same_task=_within_task(tokens, values, resamples),
            same_kind=within(tokens, values, tokens.kind, resamples),
            same_shown=_within_shown(tokens, values, shown.get(name), resamples),
            gains=_gains(tokens, aurocs, name, shown.get(name), resamples),
            place_gain=at_place[name] - at_place[SURPRISAL],
            drift=_drift(tokens, values, resamples),
            content=_content(tokens, values),
        )
        for name, values in rewards.items()
    }


def within(tokens: Tokens, rewards: Floats, group: Ints | None, resamples: Resamples) -> Sampled:
    """Return the AUROC among tokens of one group, or among all tokens without groups."""
    weighed = Cells(-rewards, tokens.bad, tokens.response, group).weigh(resamples.weights)
    return Sampled(ranks.auroc(-rewards, tokens.bad, group), weighed.auroc)


def undefined(resamples: Resamples) -> Sampled:
    """Return a value that the set does not define."""
    return Sampled(float("nan"), np.full(len(resamples.weights), np.nan))


def _within_task(tokens: Tokens, rewards: Floats, resamples: Resamples) -> Sampled:
    if tokens.task is None:
        return undefined(resamples)
    draws = auroc_in_parts(-rewards, tokens.bad, tokens.response, tokens.tenth, tokens.task, resamples.weights)
    return Sampled(ranks.auroc(-rewards, tokens.bad, tokens.task * PLACES + tokens.tenth), draws)


def _within_shown(tokens: Tokens, rewards: Floats, repeats: Flags | None, resamples: Resamples) -> Sampled:
    if repeats is None:
        return undefined(resamples)
    return within(tokens, rewards, repeats.astype(np.int64), resamples)


def _gains(
    tokens: Tokens, aurocs: Mapping[str, Sampled], name: str, repeats: Flags | None, resamples: Resamples
) -> dict[str, Sampled]:
    bases = {SURPRISAL: aurocs[SURPRISAL]}
    bases |= {base: _better(aurocs[base]) for base in (POSITION, STEP_LENGTH, LENGTH) if base in aurocs}
    if repeats is not None:
        bases[SHOWN] = _better(within(tokens, repeats.astype(np.float64), None, resamples))
    return {base: aurocs[name] - found for base, found in bases.items()}


def _better(found: Sampled) -> Sampled:
    """Return the AUROC of a baseline, or of its reverse if that is better."""
    return found if found.value >= 0.5 else Sampled(1 - found.value, 1 - found.draws)


def _drift(tokens: Tokens, rewards: Floats, resamples: Resamples) -> Sampled:
    last = _mean(tokens, rewards, tokens.tenth == PLACES - 1, resamples)
    return (last - _mean(tokens, rewards, tokens.tenth == 0, resamples)) / (rewards.std() / DEVIATION or 1.0)


def _mean(tokens: Tokens, rewards: Floats, chosen: Flags, resamples: Resamples) -> Sampled:
    """Return the mean reward of the good ones among the chosen tokens, bool `[N]`."""
    taken = chosen & ~tokens.bad
    response = tokens.response[taken]
    sums = np.bincount(response, weights=rewards[taken], minlength=tokens.responses)
    counts = np.bincount(response, minlength=tokens.responses).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return Sampled(
            float(np.float64(sums.sum()) / counts.sum()), (resamples.weights @ sums) / (resamples.weights @ counts)
        )


def _content(tokens: Tokens, rewards: Floats) -> float:
    says = ~tokens.bad & ((tokens.kind == NUMBER) | (tokens.kind == NAME))
    holds = ~tokens.bad & (tokens.kind == STYLE)
    if not says.any() or not holds.any():
        return float("nan")
    return float((rewards[says].mean() - rewards[holds].mean()) / (rewards.std() / DEVIATION or 1.0))
