"""About how many tokens a labeling run would have scored, from the size of some of its items."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tokenreward import estimators
from tokenreward.dataset.scoring_options import ScoringOptions
from tokenreward.errors import BadInput, UnknownName
from tokenreward.schema import Item
from tokenreward.templates import resolve
from tokenreward.templates.rendering import lengths

#: Characters that make a token of a usual tokenizer and text.
_CHARACTERS_A_TOKEN = 4
#: How many items are looked at.
_SAMPLED = 64


def scored_tokens(items: Sequence[bytes], size: int, scoring: ScoringOptions) -> int | None:
    """Return about how many tokens are scored, counting every branch of every response in full.

    Args:
        items: Some items of the input, one line of JSON each.
        size: The size of all items, in bytes.
        scoring: How they are scored.

    Returns:
        The number, or None where only the service knows the template or the estimator.
    """
    try:
        template, branches = resolve(scoring.template), estimators.resolve(scoring.estimator).branches
    except UnknownName:
        return None
    sample = items[:: max(1, len(items) // _SAMPLED)]
    characters = 0
    for line in sample:
        item = Item(**json.loads(line))
        ids = len(item.token_ids or ()) * _CHARACTERS_A_TOKEN
        answer = ids or sum(map(len, item.response_texts()))
        try:
            read = lengths(template, item, response="x" * ids if ids else None)
        except BadInput:  # it lacks a context field, and will get that error
            continue
        characters += sum(length + answer for name, length in read.items() if name.partition("[")[0] in branches)
    return round(characters / _CHARACTERS_A_TOKEN * size / sum(map(len, sample)))
