"""Verdicts: what a label's figures mean, in words, for someone who wants to train on it.

They follow from the intervals, not from the values alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tokenreward.statistics.bootstrap import Interval

STOP = "do not train on them"
#: An AUROC below this is little to train on, however sure it is: of five pairs of tokens, two are in the wrong order.
WEAK = 0.6


class Advice(StrEnum):
    """Whether to train on labels.

    `no`: they are worth nothing or less. `doubtful`: they know little that surprisal does not. `yes`: they know more.
    """

    no = "no"
    doubtful = "doubtful"
    yes = "yes"


@dataclass(frozen=True)
class Verdict:
    """A verdict.

    Attributes:
        advice: The verdict for programs.
        words: The verdict for people.
    """

    advice: Advice
    words: str


def on_spans(auroc: Interval, stratified: Interval, gain: Interval) -> Verdict:
    """Return the verdict on a label, from responses with known errors.

    Args:
        auroc: Of finding what is wrong.
        stratified: The same among tokens that are equally likely.
        gain: The AUROC less that of surprisal.
    """
    beyond = stratified.above(0.5)
    if auroc.below(0.5):
        return Verdict(Advice.no, f"these labels reward the errors (AUROC below chance): {STOP}")
    if not auroc.above(0.5):
        return Verdict(Advice.no, f"these labels find the errors no better than chance: {STOP}")
    if gain.below(0):
        words = "these labels find errors worse than surprisal does"
        if beyond:
            return Verdict(
                Advice.doubtful,
                f"{words}, yet they know something that surprisal does not (stratified AUROC above 0.5):"
                " not by themselves, but worth a search for a better contrast",
            )
        return Verdict(Advice.no, f"{words}: {STOP}")
    if not beyond:
        return Verdict(
            Advice.doubtful,
            "these labels find the errors, but among equally likely tokens they know nothing: training on them mostly"
            " sharpens the model; compare with a run on surprisal before you believe in them",
        )
    if auroc.value < WEAK:
        return Verdict(
            Advice.doubtful,
            f"these labels know something that surprisal does not, but are weak (AUROC below {WEAK}): expect little",
        )
    if gain.above(0):
        return Verdict(Advice.yes, "these labels find the errors better than surprisal does: worth a training run")
    return Verdict(
        Advice.yes,
        "these labels find the errors as well as surprisal does, and know something that it does not: worth a training"
        " run",
    )


def on_pairs(accuracy: Interval, controlled: Interval) -> str:
    """Return the verdict on a label, from preference pairs.

    Args:
        accuracy: By mean reward.
        controlled: The same with length controlled, NaN where that is not defined.
    """
    judged = controlled if controlled.value == controlled.value else accuracy
    if judged.below(0.5):
        return f"they prefer the worse response: {STOP}"
    if not judged.above(0.5):
        better = " (what looks like a preference is the length)" if accuracy.above(0.5) else ""
        return f"they do not tell the better response from the worse one{better}"
    return "they prefer the better response"
