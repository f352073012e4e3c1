"""Which tokens of a labeled conversation with several turns are trained on: the assistant's, as its labels say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tokenreward.chat_format import ChatFormat, Completion
from tokenreward.dataset.columns import IDS, TURNS
from tokenreward.errors import BadInput
from tokenreward.schema import Item
from tokenreward_trainer.data.pair import Mask, Pair, Values


def trained_mask(row: Mapping[str, Any], side: str, where: str) -> Mask:
    """Which tokens of one side are the assistant's, bool `[T]`.

    Args:
        row: The labeled row.
        side: `chosen` or `rejected`.
        where: How a person finds the row.

    Raises:
        BadInput: The row does not say it of every token, or says it of none.
    """
    turns, ids = row.get(f"{side}_{TURNS}"), row[f"{side}_{IDS}"]
    if not isinstance(turns, list) or len(turns) != len(ids) or not all(type(turn) is int for turn in turns):
        raise BadInput(f"{where}: {side}_{TURNS} has not one turn for each of {side}_{IDS}")
    mask: Mask = np.asarray(turns) >= 0
    if not mask.any():
        raise BadInput(f"{where}: {side}_{TURNS} has no turn, so there is nothing to train on")
    return mask


def trajectories(
    name: str, sides: Sequence[Completion], rewards: Sequence[Values | None], masks: Sequence[Mask]
) -> Pair:
    """A pair of conversations with several turns.

    A chat template may cut the generation prompt before one of them and not before the other. What only one prompt has
    then opens that completion, as context.

    Args:
        name: The pair's id.
        sides: Prompt and turns of the chosen and of the rejected conversation.
        rewards: The rewards of the turns, and of what stands between them.
        masks: Which tokens of these are the assistant's.
    """
    first, second = (tuple(side.prompt) for side in sides)
    differing = (n for n, (here, there) in enumerate(zip(first, second, strict=False)) if here != there)
    shared = next(differing, min(len(first), len(second)))
    more = [prompt[shared:] for prompt in (first, second)]
    chosen, rejected = (before + tuple(side.response) for before, side in zip(more, sides, strict=True))
    values = [
        None if row is None else np.concatenate([np.zeros(len(before), row.dtype), row])
        for before, row in zip(more, rewards, strict=True)
    ]
    counted = [np.concatenate([np.zeros(len(before), np.bool_), row]) for before, row in zip(more, masks, strict=True)]
    return Pair(name, first[:shared], chosen, rejected, *values, *counted)


def conversation_of(chat: ChatFormat, item: Item, ids: Sequence[int], where: str) -> Completion:
    """Prompt and turns as a worker has scored them.

    Args:
        chat: The policy's chat format.
        item: The conversation.
        ids: What was scored of it.
        where: How a person finds it.

    Raises:
        BadInput: The chat template makes other ids of it.
    """
    try:
        written = chat.completion(item)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    if written.response != list(ids):
        raise BadInput(
            f"{where}: the labeled ids are not those that the policy's chat template makes of the conversation, so its "
            "turns would not stand behind what they were scored behind; label again with the policy's own initial model"
        )
    return written
