"""What a job wants of an engine beside log-probs: what its estimator reads, and what its results are to hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tokenreward import estimators
from tokenreward.protocol.ids_item import IdsItem
from tokenreward.protocol.records import ScoringOptions
from tokenreward.schema import Item, ItemFailure
from tokenreward.schema.candidates import check_named_ids
from tokenreward_workers.rendering import Prepared, Renderer
from tokenreward_workers.wanted import NamedIds, Wanted


def wanting(
    prepared: Prepared, item: Item | IdsItem, options: ScoringOptions, renderer: Renderer
) -> Prepared | ItemFailure:
    """Add to a prepared item what its job wants.

    Args:
        prepared: The item as token ids.
        item: The item itself.
        options: Of its job.
        renderer: The one that prepared it.

    Returns:
        The item, or why its named ids cannot be used.
    """
    named = None
    if "named" in options.include:
        found = _named(prepared, item, renderer)
        if isinstance(found, ItemFailure):
            return found
        named = found
    moments = "moments" in options.include or estimators.resolve(options.estimator).moments
    top = min(options.top_k, renderer.vocabulary) if "top" in options.include else 0
    wanted = Wanted(moments, top, named)
    return replace(prepared, scoring=replace(prepared.scoring, wanted=wanted)) if wanted else prepared


def _named(prepared: Prepared, item: Item | IdsItem, renderer: Renderer) -> NamedIds | ItemFailure:
    if item.named_ids is None:
        return ItemFailure(code="invalid_item", message="include 'named', and the item has no `named_ids`")
    length = len(prepared.response_ids)
    try:
        check_named_ids(item.named_ids, length)
    except ValueError as error:
        return ItemFailure(code="invalid_item", message=str(error))
    ids = np.array(item.named_ids, dtype=np.int64)
    if (failure := renderer.outside(ids.ravel().tolist(), "of `named_ids`")) is not None:
        return failure
    return NamedIds.of(np.broadcast_to(ids, (length, ids.shape[-1])))
