"""Several files as one set of training pairs: where each file is, what is held out of it, and how often it is taken."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from tokenreward.errors import BadInput
from tokenreward_trainer.data.pair import Pair
from tokenreward_trainer.training.run_checks import check_split
from tokenreward_trainer.training.settings import Data, Part


def path_of(part: Part) -> Path:
    """Finds a file of a mixture; one of a data set on the hub is fetched, or taken from the hub's cache.

    Raises:
        BadInput: The hub does not give it.
    """
    if part.hub is None:
        return Path(part.file)
    import huggingface_hub

    try:
        return Path(huggingface_hub.hf_hub_download(part.hub, part.file, repo_type="dataset"))
    except Exception as error:  # the hub's client lets through what its transport raises
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise BadInput(f"data.mix: {part.file} of the data set {part.hub!r} cannot be had: {why}") from error


def split_and_mix(data: Data, found: Sequence[Sequence[Pair]], seed: int) -> tuple[list[Pair], list[Pair]]:
    """Holds pairs out of every file, and takes the rest of each by its weight.

    Args:
        data: The run's [data] section.
        found: The pairs of each of its files.
        seed: Decides which pairs a weight below one takes, and the order of a mixture.

    Returns:
        Pairs to train on, and those held out. No pair is in both, however often it is taken.

    Raises:
        BadInput: Nothing would be left to train on or to hold out, or there are fewer pairs than the limit.
    """
    train: list[Pair] = []
    held_out: list[Pair] = []
    for pairs, part in zip(found, data.parts, strict=True):
        # From the end, so that the same file gives the same split whatever the limit.
        kept = len(pairs) - round(len(pairs) * data.eval_share)
        held_out += pairs[kept:]
        train += _taken(pairs[:kept], part, seed)
    if not data.mix:
        check_split(len(found[0]), data.eval_share, data.limit)
        return train[: data.limit], held_out
    if not train or (data.eval_share and not held_out):
        raise BadInput("data.mix leaves no pair to train on, or none to hold out: its files are too small")
    if data.limit is not None and data.limit > len(train):
        raise BadInput(f"data.limit = {data.limit} is more than the {len(train)} pairs that there are to train on")
    random.Random(seed).shuffle(train)
    return train[: data.limit], held_out


def _taken(pairs: Sequence[Pair], part: Part, seed: int) -> list[Pair]:
    whole, share = divmod(part.weight, 1)
    drawn = random.Random(f"{seed} {part.hub} {part.file}").sample(range(len(pairs)), round(share * len(pairs)))
    return [*pairs] * int(whole) + [pairs[index] for index in sorted(drawn)]
