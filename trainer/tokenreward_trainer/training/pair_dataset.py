"""Pairs as a data set for the Trainer, checked for the labels that the options need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import Dataset

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Example, Pair
from tokenreward_trainer.training.config import PreferenceConfig
from tokenreward_trainer.training.pair_scoring import PairLogps


class PairDataset(Dataset[Example]):
    """Pairs, and reference log-probs for each of them once they are known.

    Args:
        pairs: The tokenized pairs.

    Attributes:
        pairs: The same.
        ref_logps: One entry a pair; None until they are computed.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        self.ref_logps: list[PairLogps] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        return Example(index, self.pairs[index], None if self.ref_logps is None else self.ref_logps[index])

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))


def labeled_dataset(pairs: Sequence[Pair], args: PreferenceConfig) -> PairDataset:
    """Checks that the pairs have the labels that the options need, and makes a data set of them.

    Raises:
        BadInput: There are no pairs, labels are needed and missing, or only some pairs have them.
    """
    if not pairs:
        raise BadInput("the data set has no pairs")
    unlabeled = sum(pair.chosen_token_rewards is None or pair.rejected_token_rewards is None for pair in pairs)
    if unlabeled and args.needs_labels:
        why = f"reg_alpha = {args.reg_alpha}" if args.reg_alpha > 0 else f"method = '{args.method}'"
        raise BadInput(
            f"{why} needs token rewards, and {unlabeled} of {len(pairs)} pairs have none: label them "
            "(`tokenreward label`), or set reg_alpha = 0 and another method than sepo"
        )
    if 0 < unlabeled < len(pairs):
        raise BadInput(f"{unlabeled} of {len(pairs)} pairs have no token rewards: label all of them or none")
    return PairDataset(pairs)
