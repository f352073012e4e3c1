"""Items as JSON: the bytes that stand for one item in a request body."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from tokenreward.errors import BadInput
from tokenreward.schema import Item

#: An item as a model, as a mapping, or already as one line of JSON.
ItemLike = Item | Mapping[str, Any] | bytes


def item_json(item: ItemLike) -> bytes:
    """Encode one item as a line of JSON without its line end.

    The content of a mapping is not checked here: the service answers with an error for that item.

    Raises:
        TypeError: It is no item, or a value in it has no JSON form.
    """
    if isinstance(item, bytes):
        return item
    if not isinstance(item, Item | Mapping):
        raise TypeError(f"an item is a mapping with `prompt` and `response`, not {type(item).__name__} ({item!r:.60})")
    if isinstance(item, Item):
        return item.model_dump_json(exclude_defaults=True).encode()
    try:
        return json.dumps(item, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()
    except UnicodeEncodeError:  # a lone surrogate travels escaped, so that only its own item gets an error
        return json.dumps(item, separators=(",", ":"), default=_plain).encode()


def item_lines(items: Iterable[ItemLike]) -> list[bytes]:
    """Encode all items, one line each.

    Raises:
        BadInput: There are no items.
        TypeError: What is given is one item or text, or holds text.
    """
    check_items(items)
    encoded = [item_json(item) for item in items]
    if not encoded:
        raise BadInput("there are no items to label")
    return encoded


def check_items(items: object) -> None:
    """Raise TypeError for one item, or a text, where several items are due."""
    if isinstance(items, str | bytes | Item | Mapping):
        what = "one item" if isinstance(items, Item | Mapping) else f"{type(items).__name__} ({items!r:.60})"
        raise TypeError(f'items are a list, as in [{{"prompt": ..., "response": ...}}], not {what}')


def _plain(value: object) -> object:
    """Convert models and the scalars and arrays of numpy and torch to values that `json` knows."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    for method in ("tolist", "item"):
        if callable(convert := getattr(value, method, None)):
            return convert()
    raise TypeError(f"an item holds a {type(value).__name__}, which has no JSON form")
