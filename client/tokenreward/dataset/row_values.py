"""Reading one value of a row, with an error that names the row and the column if it is not as expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenreward.dataset.columns import FINISHED, IDS, prefix
from tokenreward.errors import BadInput


def text_of(row: Mapping[str, Any], column: str, where: str) -> str:
    """Return the text in `column`.

    Raises:
        BadInput: It is missing, empty, no text, or not encodable.
    """
    value = row.get(column)
    if not isinstance(value, str):
        raise BadInput(f"{where}, column {column!r}: {_unlike('text', value)}")
    if not value:
        raise BadInput(f"{where}, column {column!r}: empty")
    return _encodable(value, column, where)


def messages_of(row: Mapping[str, Any], column: str, where: str) -> list[dict[str, str]]:
    """Return the chat messages in `column`, with `role` and `content` only.

    Raises:
        BadInput: It is missing, empty or no list of messages.
    """
    value = row.get(column)
    if not isinstance(value, list):
        raise BadInput(f"{where}, column {column!r}: {_unlike('messages', value)}")
    if not value:
        raise BadInput(f"{where}, column {column!r}: empty")
    messages = []
    for number, message in enumerate(value):
        role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
        if not isinstance(role, str) or not isinstance(content, str):
            raise BadInput(f"{where}, column {column!r}: message {number} has no text `role` and `content`")
        messages.append({"role": role, "content": _encodable(content, column, where)})
    return messages


def token_ids_of(row: Mapping[str, Any], side: str, where: str) -> tuple[int, ...] | None:
    """Return the token ids that the row gives for this side, or None.

    Raises:
        BadInput: The column holds something else.
    """
    column = prefix(side) + IDS
    ids = row.get(column)
    if ids is None:
        return None
    if not isinstance(ids, list) or not ids or not all(type(token) is int and 0 <= token < 2**31 for token in ids):
        raise BadInput(f"{where}, column {column!r}: a list of token ids is expected, with at least one")
    return tuple(ids)


def finished_of(row: Mapping[str, Any], side: str, where: str) -> bool:
    """Return whether the response of this side ends its turn, which it does unless the row says otherwise.

    Raises:
        BadInput: The column holds something else.
    """
    column = prefix(side) + FINISHED
    finished = row.get(column)
    if finished is not None and not isinstance(finished, bool):
        raise BadInput(f"{where}, column {column!r}: true or false is expected; any other meaning needs another name")
    return finished is not False


def _encodable(text: str, column: str, where: str) -> str:
    """Return `text` if it can be encoded. One row that cannot would have its whole job refused."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{where}, column {column!r}: character {error.start} is half a surrogate pair") from None
    return text


def _unlike(expected: str, value: object) -> str:
    if value is None:
        return "missing"
    found = "text" if isinstance(value, str) else "messages" if isinstance(value, list) else type(value).__name__
    return f"{found} where {expected} is expected" + (" (mixed formats)" if found in {"text", "messages"} else "")
