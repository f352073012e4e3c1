"""What training made of every held-out pair, kept pair by pair, because the report concludes from it.

That is how far the policy prefers the chosen response, and whether its token rewards follow the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tokenreward_trainer.data.pair import Pair, Values
from tokenreward_trainer.training.learned_rewards import learned_rewards
from tokenreward_trainer.training.pair_dataset import sets_of
from tokenreward_trainer.training.pair_scoring import PairLogps

if TYPE_CHECKING:
    from tokenreward_trainer.training.trainer import PreferenceTrainer

#: Learned rewards of the tokens that count, of the chosen and of the rejected response.
Learned = tuple[Values, Values]


@dataclass(frozen=True)
class Outcome:
    """One held-out pair after training.

    Attributes:
        margin: Its implicit reward of the chosen response less that of the rejected one, as the method's own metrics
            (`eval_rewards/margins`) have it.
        correlation: Pearson's, over the tokens of both responses, between learned token rewards and labels; None
            without labels, or where one of them does not vary.
    """

    margin: float
    correlation: float | None


def outcomes(trainer: PreferenceTrainer, learned: Sequence[Learned]) -> list[Outcome]:
    """Judges the pairs of the trainer's (first) evaluation set.

    Args:
        trainer: After training.
        learned: Of the same pairs; see `learned_of`.
    """
    held_out = next(iter(sets_of(trainer.eval_dataset)), None)
    if held_out is None:
        return []
    margins = trainer.predict(held_out).predictions @ np.array([1, -1])
    return [
        Outcome(float(margin), _correlation_with_labels(pair, each))
        for pair, margin, each in zip(held_out.pairs, margins, learned, strict=True)
    ]


def learned_of(
    trainer: PreferenceTrainer, pairs: Sequence[Pair], reference: Sequence[PairLogps], after: Sequence[PairLogps]
) -> list[Learned]:
    """Computes the learned reward of every token that counts.

    Args:
        trainer: After training.
        pairs: Held-out pairs.
        reference: Their log-probs under the reference; see `references_of`.
        after: Their log-probs under the trained model.
    """

    def side(number: int, index: int) -> Values:
        counts = pairs[number].counted[index]
        return np.asarray(learned_rewards(trainer, after[number][index][counts], reference[number][index][counts]))

    return [(side(number, 0), side(number, 1)) for number in range(len(pairs))]


def references_of(trainer: PreferenceTrainer, pairs: Sequence[Pair], before: Sequence[PairLogps]) -> list[PairLogps]:
    """Returns the log-probs that held-out pairs are compared with.

    Args:
        trainer: After training.
        pairs: The pairs of its (first) evaluation set.
        before: Their log-probs under the initial model, which stand for those of a method without a reference; with a
            reference, they are not read.
    """
    mode = trainer.args.reference_mode
    if mode == "live":
        return trainer.reference_token_logps(pairs)
    if mode == "none":
        return list(before)
    known = [example.ref_logps for data in sets_of(trainer.eval_dataset)[:1] for example in data]
    return [logps for logps in known if logps is not None]


def _correlation_with_labels(pair: Pair, learned: Learned) -> float | None:
    if pair.chosen_token_rewards is None or pair.rejected_token_rewards is None:
        return None
    given = (pair.chosen_token_rewards, pair.rejected_token_rewards)
    labels = np.concatenate([values[counts] for values, counts in zip(given, pair.counted, strict=True)])
    return _correlation(np.concatenate(learned), labels)


def _correlation(x: Values, y: Values) -> float | None:
    if len(x) < 2 or x.std() < 1e-12 or y.std() < 1e-12:
        return None
    return float(np.corrcoef(x, y)[0, 1])
