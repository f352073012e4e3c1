"""A payload is a list of JSON rows or an Arrow table. Here some of its rows are taken, or its columns renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def picked(payload: Any, places: Sequence[int]) -> Any:
    """Return the rows at these places, in order.

    Args:
        payload: A list of rows or an Arrow table.
        places: The number of each row within it, from 0; a number may occur several times.
    """
    if places and list(places) == list(range(places[0], places[0] + len(places))):
        return payload[places[0] : places[0] + len(places)]
    return [payload[place] for place in places] if isinstance(payload, list) else payload.take(list(places))


def row_at(payload: Any, place: int) -> dict[str, Any]:
    """Return one row with every column."""
    row: dict[str, Any] = payload[place] if isinstance(payload, list) else payload.slice(place, 1).to_pylist()[0]
    return row


def renamed(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a row whose columns have new names, where `names` has one for them."""
    return {names.get(name, name): value for name, value in row.items()}


def with_names(payload: Any, names: Mapping[str, str]) -> Any:
    """Return a payload whose columns have new names, where `names` has one for them."""
    if isinstance(payload, list):
        return [renamed(row, names) for row in payload]
    return payload.rename_columns([names.get(name, name) for name in payload.column_names])
