"""Verdicts: what a label's figures mean, in words, for someone who wants to train on it.

They follow from the intervals, not from the values alone. A label is worth a training run only if it beats every
baseline plainly, and still does so among tokens at the same place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tokenreward.statistics.bootstrap import Interval

STOP = "do not train on them"
#: An AUROC below this is little to train on, however sure it is: of five pairs of tokens, two are in the wrong order.
WEAK = 0.6
#: Fewer responses of a kind than these say nothing: their intervals are not to be trusted themselves.
FEWEST = 30
#: Nobody marks more responses than these to tell a label from chance; a smaller effect is none.
_MOST_WANTED = 10_000


class Advice(StrEnum):
    """Whether to train on labels.

    `no`: they are worth nothing or less. `doubtful`: they know something, and something simpler knows as much. `yes`:
    they know more than every baseline. `unknown`: there are too few responses to say.
    """

    no = "no"
    doubtful = "doubtful"
    yes = "yes"
    unknown = "unknown"


@dataclass(frozen=True)
class Verdict:
    """A verdict.

    Attributes:
        advice: The verdict for programs.
        words: The verdict for people.
    """

    advice: Advice
    words: str


@dataclass(frozen=True)
class Findings:
    """What a verdict is made from: one label on responses with known errors.

    Attributes:
        wrong: How many responses have errors.
        right: How many have something that is right.
        auroc: Of finding what is wrong.
        stratified: The same among tokens that are equally likely.
        gains: The AUROC less that of each baseline, by its name.
        controlled: The AUROC among tokens that are alike in some respect, such as `the same place`. It is NaN where the
            set does not define it.
        place_gain: The AUROC at the same place less that of surprisal.
        asks_model: Whether a model read the responses.
    """

    wrong: int
    right: int
    auroc: Interval
    stratified: Interval
    gains: Mapping[str, Interval] = field(default_factory=dict)
    controlled: Mapping[str, Interval] = field(default_factory=dict)
    place_gain: Interval = field(default_factory=lambda: Interval(math.nan, math.nan, math.nan))
    asks_model: bool = True


def on_spans(found: Findings) -> Verdict:
    """Return the verdict on a label, from responses with known errors."""
    if (few := too_few(found)) is not None:
        return Verdict(Advice.unknown, few)
    if not found.asks_model:
        return Verdict(
            Advice.doubtful,
            "no model read the response: these labels mark where it differs from what they were told, so this says"
            " nothing of what they would find",
        )
    if found.auroc.below(0.5):
        return Verdict(Advice.no, f"these labels reward the errors (AUROC below chance): {STOP}")
    if not found.auroc.above(0.5):
        return Verdict(Advice.no, f"these labels find the errors no better than chance: {STOP}")
    for respect, within in found.controlled.items():
        if not math.isnan(within.value) and not within.above(0.5):
            return Verdict(
                Advice.no,
                f"what these labels find does not survive a control: among tokens of {respect} they are at"
                f" {within.value:.2f}, which may be chance: {STOP}",
            )
    return _beside_baselines(found, found.stratified.above(0.5))


def _beside_baselines(found: Findings, beyond: bool) -> Verdict:
    if worse := [name for name, gain in found.gains.items() if gain.below(0)]:
        words = f"these labels find errors worse than {_listed(worse)} alone"
        if not beyond:
            return Verdict(Advice.no, f"{words}: {STOP}")
        return Verdict(
            Advice.doubtful,
            f"{words}, yet they know something that surprisal does not (stratified AUROC above 0.5): not by themselves,"
            " but worth a search for a better contrast",
        )
    if not beyond:
        return Verdict(
            Advice.doubtful,
            "these labels find the errors, but among equally likely tokens they know nothing: training on them mostly"
            " sharpens the model; compare with a run on surprisal before you believe in them",
        )
    if found.auroc.value < WEAK:
        return Verdict(
            Advice.doubtful,
            f"these labels know something that surprisal does not, but are weak (AUROC below {WEAK}): expect little",
        )
    if equal := [name for name, gain in found.gains.items() if not gain.above(0)]:
        return Verdict(
            Advice.doubtful, f"these labels find the errors, but not plainly better than {_listed(equal)} alone"
        )
    if not found.place_gain.above(0):
        return Verdict(
            Advice.doubtful,
            "these labels find the errors, but at the same place of a response not plainly better than surprisal does",
        )
    return Verdict(
        Advice.yes,
        "these labels find the errors better than every baseline does, at the same place too: worth a training run",
    )


def too_few(found: Findings) -> str | None:
    """Return in words that there are too few responses for a verdict, and how many it takes; None if there are enough.

    The number is at least `FEWEST`, and as large as would tell this AUROC from chance.
    """
    if min(found.wrong, found.right) >= FEWEST:
        return None
    off, half = abs(found.auroc.value - 0.5), (found.auroc.high - found.auroc.low) / 2
    wanted = math.ceil(found.wrong * (half / off) ** 2) if off > 0 and math.isfinite(half) else FEWEST
    more = f", and about {wanted} to tell such labels from chance" if FEWEST < wanted <= _MOST_WANTED else ""
    kind, number = ("errors", found.wrong) if found.wrong <= found.right else ("something right", found.right)
    return f"too few to say: {number} responses with {kind}, and it takes {FEWEST}{more}"


def judged_accuracy(accuracy: Interval, controlled: Interval) -> Interval:
    """Return the accuracy that a verdict from preference pairs is of: with length controlled where that is defined."""
    return accuracy if math.isnan(controlled.value) else controlled


def on_pairs(accuracy: Interval, controlled: Interval, pairs: int = FEWEST) -> str:
    """Return the verdict on a label, from preference pairs.

    Args:
        accuracy: By mean reward.
        controlled: The same with length controlled, NaN where that is not defined.
        pairs: How many there are.
    """
    if pairs < FEWEST:
        return f"too few to say: {pairs} pairs, and it takes {FEWEST}"
    judged = judged_accuracy(accuracy, controlled)
    if judged.below(0.5):
        return f"their mean prefers the worse response ({judged.value:.2f}): {STOP}"
    if not judged.above(0.5):
        better = " (what looks like a preference is the length)" if accuracy.above(0.5) else ""
        return f"they do not tell the better response from the worse one{better}"
    return "they prefer the better response"


def prefers_worse(accuracy: Interval, controlled: Interval, pairs: int = FEWEST) -> bool:
    """Return whether a label's mean reward prefers the worse response of a pair, see `on_pairs`."""
    judged = judged_accuracy(accuracy, controlled)
    return pairs >= FEWEST and judged.below(0.5)


def _listed(names: list[str]) -> str:
    words = [name.replace("_", " ") for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
