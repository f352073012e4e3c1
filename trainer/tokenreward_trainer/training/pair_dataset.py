"""Pairs as a data set for the Trainer, checked for the labels that the options need."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from tokenreward.errors import BadInput
from tokenreward_trainer.data.labeled_pairs import Pairs
from tokenreward_trainer.data.pair import Example, Pair
from tokenreward_trainer.doubtful import DoubtfulOption
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


def labeled_dataset(given: Any, args: PreferenceConfig, vocabulary: int) -> PairDataset:
    """Checks that pairs have the labels that the options need, and makes a data set of them.

    Args:
        given: Pairs, or what `load_pairs` returns.
        args: The options.
        vocabulary: The rows of the policy's embedding. A pair with an id beyond them is left out.

    Raises:
        BadInput: What is given are no pairs, there are none, or labels are needed and missing, or only some have them.
    """
    pairs = _within(_sided(_pairs(given), args), vocabulary)
    if not pairs:
        raise BadInput("the data set has no pairs")
    unlabeled = sum(pair.chosen_token_rewards is None or pair.rejected_token_rewards is None for pair in pairs)
    if unlabeled and args.needs_labels:
        why = f"reg_alpha = {args.reg_alpha}" if args.reg_alpha > 0 else f"method = '{args.method}'"
        raise BadInput(
            f"{why} needs token rewards, and {unlabeled} of {len(pairs)} pairs have none: label them "
            "(`tokenreward label`), or set reg_alpha = 0 and a method that reads no labels"
        )
    if 0 < unlabeled < len(pairs):
        raise BadInput(f"{unlabeled} of {len(pairs)} pairs have no token rewards: label all of them or none")
    return PairDataset(pairs)


def held_out_of(given: Any, args: PreferenceConfig, vocabulary: int) -> PairDataset | dict[str, PairDataset] | None:
    """Makes the data sets to evaluate on: of pairs, of several sets of pairs by name, or of nothing.

    Args:
        given: Pairs, sets of pairs by name, or None.
        args: The options.
        vocabulary: See `labeled_dataset`.

    Raises:
        BadInput: See `labeled_dataset`.
    """
    if isinstance(given, Mapping):
        return {str(name): labeled_dataset(pairs, args, vocabulary) for name, pairs in given.items()}
    return None if given is None else labeled_dataset(given, args, vocabulary)


def sets_of(held_out: PairDataset | Mapping[str, PairDataset] | None) -> list[PairDataset]:
    """Returns the data sets to evaluate on as a list, which may be empty."""
    if isinstance(held_out, Mapping):
        return list(held_out.values())
    return [] if held_out is None else [held_out]


def check_batches(train: PairDataset | None, held_out: Sequence[PairDataset], args: PreferenceConfig) -> None:
    """Checks that every data set fills a batch where the last batch is dropped if it is not full.

    Raises:
        BadInput: It does not, so that nothing would be left.
    """
    if not args.dataloader_drop_last:
        return
    sets = [(train, args.train_batch_size), *((data, args.eval_batch_size) for data in held_out)]
    for data, batch in sets:
        if data is not None and len(data) < batch * args.world_size:
            raise BadInput(
                f"dataloader_drop_last leaves out the only batch: {len(data)} pairs are fewer than a batch of "
                f"{batch * args.world_size}"
            )


def known_logps(pairs: Sequence[Pair], sets: Sequence[PairDataset | None]) -> list[PairLogps] | None:
    """Returns the reference log-probs that other data sets have of these pairs; None if any is missing."""
    known = {_ids(example.pair): example.ref_logps for each in sets if each is not None for example in each}
    found = [known.get(_ids(pair)) for pair in pairs]
    complete = [logps for logps in found if logps is not None]
    return complete if len(complete) == len(found) else None


def _sided(pairs: list[Pair], args: PreferenceConfig) -> list[Pair]:
    """The pairs as the method reads them: SFT has no use for their rejected side."""
    method = args.chosen_method
    if method.single:
        if lacking := sum(pair.teacher is None for pair in pairs) if method.teacher else 0:
            raise BadInput(
                f"method = '{args.method}' needs a teacher's log-probs, and {lacking} of {len(pairs)} rows have none: "
                "label with the teacher's service and `--include logprobs`, and load with teacher = True"
            )
        if method.teacher and args.teacher_kl == "forward" and any(not _has_top(pair) for pair in pairs):
            raise BadInput("teacher_kl = 'forward' needs the teacher's likeliest tokens: label with `--include top`")
        if len({_has_top(pair) for pair in pairs}) > 1:
            raise BadInput("some rows have the teacher's likeliest tokens and others do not: label all of them alike")
        return [
            Pair(pair.id, pair.prompt, pair.chosen, (), chosen_mask=pair.chosen_mask, teacher=pair.teacher)
            for pair in pairs
        ]
    if alone := sum(pair.single for pair in pairs):
        raise BadInput(f"method = '{args.method}' compares two responses, and {alone} of {len(pairs)} rows have one")
    return pairs


def _has_top(pair: Pair) -> bool:
    return pair.teacher is not None and pair.teacher.top_ids is not None


def _ids(pair: Pair) -> tuple[tuple[int, ...], ...]:
    return pair.prompt, pair.chosen, pair.rejected


def _pairs(given: Any) -> list[Pair]:
    given = given.pairs if isinstance(given, Pairs | PairDataset) else given
    if isinstance(given, Sequence) and all(isinstance(pair, Pair) for pair in given):
        return list(given)
    raise BadInput(
        f"a {type(given).__name__} is no sequence of pairs: give load_pairs(PATH, tokenizer).pairs of a file, or "
        "pairs_of(ROWS, tokenizer, provenance).pairs of rows in memory, such as those of a datasets.Dataset"
    )


def _within(pairs: list[Pair], vocabulary: int) -> list[Pair]:
    """The pairs that the policy has rows for, with a warning about the others."""
    kept = [pair for pair in pairs if pair.within(vocabulary)]
    if len(kept) < len(pairs):
        warnings.warn(
            f"{len(pairs) - len(kept)} of {len(pairs)} pairs have a token id beyond the model's vocabulary of "
            f"{vocabulary} and are left out",
            DoubtfulOption,
            stacklevel=4,
        )
    return kept
