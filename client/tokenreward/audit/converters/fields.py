"""Reading the fields of other people's rows, and responses that are put together from steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from tokenreward.errors import BadInput

T = TypeVar("T")


def field(row: Mapping[str, Any], name: str, kind: type[T], where: str) -> T:
    """Return a field of a row.

    Args:
        row: The row.
        name: The field.
        kind: What it must be.
        where: How a person finds the row.

    Raises:
        BadInput: It is missing or of another type.
    """
    value = row.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadInput(f"{where}, field {name!r}: {value!r:.60} is not {_NAMES[kind]}; is this the right file?")
    return value


def joined(steps: Sequence[str], between: str) -> tuple[str, list[list[int]]]:
    """Return the steps as one text, and the span of each in it.

    Args:
        steps: The steps; blanks at their ends are dropped, so that the span of a blank step is empty.
        between: What stands between two of them.
    """
    text, spans = "", []
    for number, step in enumerate(steps):
        text += between if number else ""
        spans.append([len(text), len(text) + len(step.strip())])
        text += step.strip()
    return text, spans


def filled(spans: Iterable[list[int]]) -> list[list[int]]:
    """Return the spans that are not empty, as an audit takes no others."""
    return [span for span in spans if span[0] < span[1]]


_NAMES: Mapping[type, str] = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}
