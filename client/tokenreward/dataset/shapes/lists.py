"""Rows with a list of responses: each becomes a row of its own, whose list holds that one response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenreward.dataset.columns import FINISHED, IDS
from tokenreward.dataset.shapes.names import SCORES, TEXT_KEYS
from tokenreward.errors import BadInput


def holds_responses(row: Mapping[str, Any], column: str) -> bool:
    """Return whether a column holds a list of responses: of texts, or of objects with a text."""
    value = row.get(column)
    if not isinstance(value, list) or not value:
        return False
    if column == "answers" and not isinstance(value[0], Mapping):
        return False  # reference answers, as of question answering
    return all(isinstance(one, str) or (isinstance(one, Mapping) and _text_key(one)) for one in value)


def beside(row: Mapping[str, Any], column: str) -> list[str]:
    """Return the columns that have one value for each response of the list in `column`, that column included."""
    count = len(row[column])
    return [column, *(name for name in SCORES if isinstance(row.get(name), list) and len(row[name]) == count)]


class Part(dict[str, Any]):
    """A row of one response, out of a row with a list of them.

    Attributes:
        whole: That row.
    """

    def __init__(self, own: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
        super().__init__(own)
        self.whole = whole


def split(row: Mapping[str, Any], column: str) -> list[dict[str, Any]]:
    """Return one row for each response. What stands beside the responses is split with them.

    A row without responses stays as it is, so that its error is told.
    """
    value = row.get(column)
    if not isinstance(value, list) or not value:
        return [dict(row)]
    names = beside(row, column)
    return [Part({**row, **{name: [row[name][number]] for name in names}}, row) for number in range(len(value))]


def unpacked(row: Mapping[str, Any], column: str, where: str) -> dict[str, Any]:
    """Return the row with the one response of the list in its place, and the ids that came with it.

    Raises:
        BadInput: The list is missing or empty, or holds something else than a response.
    """
    value = row.get(column)
    if not isinstance(value, list) or not value:
        raise BadInput(f"{where}, column {column!r}: {'empty' if value == [] else 'a list of responses is expected'}")
    if len(value) > 1:
        raise BadInput(f"{where}, column {column!r}: {len(value)} responses where a row of its own is due to each")
    (one,) = value
    if isinstance(one, str):
        return {**row, column: one}
    key = _text_key(one) if isinstance(one, Mapping) else None
    if key is None:
        raise BadInput(f"{where}, column {column!r}: a response is text, or an object with its `text`")
    own = {name: one[name] for name in (IDS, FINISHED) if one.get(name) is not None}
    return {**row, **own, column: one[key]}


def _text_key(one: Mapping[str, Any]) -> str | None:
    return next((key for key in TEXT_KEYS if isinstance(one.get(key), str | list)), None)
