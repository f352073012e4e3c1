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


@dataclass(frozen=True)
class Outcome:
    """One held-out pair after training.

    Attributes:
        margin: Its implicit reward of the chosen response less that of the rejected one: sums of beta log pi / pi_ref
            (divided by |y| for SimPO).
        correlation: Pearson's, over the tokens of both responses, between learned token rewards and labels; None
            without labels, or where one of them does not vary.
    """

    margin: float
    correlation: float | None


def outcomes(
    trainer: PreferenceTrainer, pairs: Sequence[Pair], before: Sequence[PairLogps], after: Sequence[PairLogps]
) -> list[Outcome]:
    """Judges held-out pairs.

    Args:
        trainer: After training.
        pairs: Pairs of its (first) evaluation set, from the first on.
        before: Log-probs of the first of them, or of all, under the initial model; see `references_of`.
        after: Their log-probs under the trained model.
    """
    references = references_of(trainer, before, len(pairs))
    return [
        _outcome(trainer, pair, reference, trained)
        for pair, reference, trained in zip(pairs, references, after, strict=True)
    ]


def learned_of(
    trainer: PreferenceTrainer, pairs: Sequence[Pair], before: Sequence[PairLogps], after: Sequence[PairLogps]
) -> list[tuple[Values, Values]]:
    """Computes the learned reward of every token of held-out responses; see `outcomes` for the arguments."""
    references = references_of(trainer, before, len(pairs))
    return [
        tuple(np.asarray(learned_rewards(trainer, trained[side], reference[side])) for side in (0, 1))  # type: ignore[misc]
        for reference, trained in zip(references, after, strict=True)
    ]


def references_of(trainer: PreferenceTrainer, before: Sequence[PairLogps], count: int) -> list[PairLogps]:
    """Returns the reference log-probs of the first held-out pairs.

    Args:
        trainer: It may have precomputed them.
        before: Log-probs of the same pairs under the initial model, which stand for those of pairs without a reference.
        count: How many pairs.
    """
    known = [example.ref_logps for data in sets_of(trainer.eval_dataset)[:1] for example in data]
    known += [None] * (count - len(known))
    return [before[number] if found is None else found for number, found in enumerate(known[:count])]


def _outcome(trainer: PreferenceTrainer, pair: Pair, reference: PairLogps, after: PairLogps) -> Outcome:
    learned: list[Values] = [
        np.asarray(learned_rewards(trainer, after[side][counts], reference[side][counts]))
        for side, counts in enumerate(pair.counted)
    ]
    margin = float(learned[0].sum() - learned[1].sum())
    if pair.chosen_token_rewards is None or pair.rejected_token_rewards is None:
        return Outcome(margin, None)
    given = (pair.chosen_token_rewards, pair.rejected_token_rewards)
    labels = np.concatenate([values[counts] for values, counts in zip(given, pair.counted, strict=True)])
    return Outcome(margin, _correlation(np.concatenate(learned), labels))


def _correlation(x: Values, y: Values) -> float | None:
    if len(x) < 2 or x.std() < 1e-12 or y.std() < 1e-12:
        return None
    return float(np.corrcoef(x, y)[0, 1])
