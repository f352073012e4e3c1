"""Reading JSON rows, with what is refused in them: a key that stands twice, and too many levels."""

from __future__ import annotations

import json
from typing import Any

from tokenreward.dataset.base import Unreadable

#: The most levels of lists and objects in a row. Python reads and writes a few hundred, Arrow's files hold 64.
_MOST_LEVELS = 100


def line_row(line: bytes, where: str) -> dict[str, Any] | Unreadable:
    """Return the row that a line holds, or why it holds none.

    Args:
        line: The line.
        where: How a person finds it.
    """
    try:
        text = line.decode(json.detect_encoding(line), "surrogatepass")
        return checked_row(DECODER.decode(text), text.count("[") + text.count("{"), where)
    except KeyTwice as error:
        why = f"{where}: {error}"
    except ValueError as error:
        why = f"{where}: not JSON ({error})"
    except RecursionError:
        why = _too_deep(where)
    return Unreadable(why, line.decode("utf-8", "replace").strip())


def checked_row(row: Any, brackets: int, where: str) -> dict[str, Any] | Unreadable:
    """Return a decoded value if it is a row, or why it is none.

    Args:
        row: The value.
        brackets: How many brackets its text has. Few of them cannot be too deep, which spares looking.
        where: How a person finds it.
    """
    if not isinstance(row, dict):
        return Unreadable(f"{where}: not a JSON object", row)
    if brackets > _MOST_LEVELS and _levels(row) > _MOST_LEVELS:
        return Unreadable(_too_deep(where), None)
    return row


class KeyTwice(ValueError):
    """An object names one key twice, so that nobody can say which value is meant."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise KeyTwice(f"the key {twice!a} stands there twice")
    return found


#: Decodes JSON, and raises KeyTwice for an object that names a key twice.
DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _levels(value: Any) -> int:
    """Return how deeply lists and objects are nested."""
    levels, here = 0, [value]
    while here:
        levels += 1
        inner = [part for outer in here for part in (outer.values() if isinstance(outer, dict) else outer)]
        here = [part for part in inner if isinstance(part, dict | list)]
    return levels


def _too_deep(where: str) -> str:
    return f"{where}: lists and objects are nested more than {_MOST_LEVELS} levels deep"
