"""Which head a loaded model has: one that predicts tokens, or one that judges them."""

from __future__ import annotations

from typing import Any

from tokenreward.errors import BadInput
from tokenreward_workers.engines.packed.class_head import ClassHead
from tokenreward_workers.engines.packed.head import LmHead

Head = LmHead | ClassHead


def head_of(model: Any, dtype: str | None) -> Head:
    """Return the head of a model.

    Args:
        model: From transformers, on its device.
        dtype: Of the logits, see `LmHead`.

    Raises:
        BadInput: Its type cannot be chosen, or its classes are not known.
    """
    if model.get_output_embeddings() is not None:
        return LmHead(model, dtype)
    found = ClassHead(model)
    if dtype not in (None, found.dtype):
        raise BadInput(f"head_dtype {dtype!r}: the head of a token classifier has the model's own type, {found.dtype}")
    return found
