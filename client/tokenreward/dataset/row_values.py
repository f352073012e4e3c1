"""Reading one value of a row, with an error that names the row and the column if it is not as expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tokenreward.dataset.columns import FINISHED, IDS, KWARGS, MEDIA, TOOLS, prefix
from tokenreward.dataset.shapes.speakers import spoken
from tokenreward.errors import BadInput
from tokenreward.schema import Item, Message
from tokenreward.schema.messages import ENDS_IN_ANSWER, text_of


def text_in(row: Mapping[str, Any], column: str, where: str) -> str:
    """Return the text in `column`.

    Raises:
        BadInput: It is missing, empty, no text, or not encodable.
    """
    value = row.get(column)
    if not isinstance(value, str):
        raise BadInput(f"{where}, column {column!r}: {_unlike('text', value)}")
    if not value:
        raise BadInput(f"{where}, column {column!r}: empty")
    return _encodable(value, f"{where}, column {column!r}")


def messages_of(row: Mapping[str, Any], column: str, where: str) -> list[dict[str, Any]]:
    """Return the chat messages in `column`, each with the keys that it has a value for.

    One message may stand without a list, and ShareGPT's `from` and `value` are read as `role` and `content`. Nulls are
    taken for absent at any depth: a columnar file gives every message every key.

    Raises:
        BadInput: It is missing, empty or no list of messages, or a message has what cannot be carried, as an image.
    """
    value = row.get(column)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise BadInput(f"{where}, column {column!r}: {_unlike('messages', value)}")
    if not value:
        raise BadInput(f"{where}, column {column!r}: empty")
    return [_message(message, number, f"{where}, column {column!r}") for number, message in enumerate(value)]


def tools_of(row: Mapping[str, Any], where: str) -> list[dict[str, Any]] | None:
    """Return the tools of the row, or None. They may stand there as JSON text.

    Raises:
        BadInput: The column holds something else.
    """
    value = row.get(TOOLS)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise BadInput(f"{where}, column {TOOLS!r}: no JSON ({error})") from None
    if not value:
        return None
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise BadInput(f"{where}, column {TOOLS!r}: a list of tools is expected, each a JSON schema")
    tools: list[dict[str, Any]] = without_nulls(value)
    return tools


def kwargs_of(row: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """Return what the row tells the chat template (TRL's `chat_template_kwargs`), or None.

    Raises:
        BadInput: The column holds something else.
    """
    value = row.get(KWARGS)
    if not value:
        return None
    try:
        return Item(prompt="a", token_ids=[0], chat_template_kwargs=without_nulls(value)).chat_template_kwargs
    except ValidationError as error:
        raise BadInput(f"{where}, column {KWARGS!r}: {_told(error)}") from None


def check_prompt(prompt: str | list[dict[str, Any]], column: str, where: str) -> None:
    """Check that a prompt leaves the turn to the assistant.

    Raises:
        BadInput: Its last message is an assistant's.
    """
    if isinstance(prompt, list) and prompt[-1]["role"] == "assistant":
        raise BadInput(f"{where}, column {column!r}: {ENDS_IN_ANSWER}")


def check_media(row: Mapping[str, Any], where: str) -> None:
    """Check that no column holds what a conversation of text cannot carry.

    Raises:
        BadInput: One does.
    """
    full = next((column for column in MEDIA if row.get(column)), None)
    if full is not None:
        raise BadInput(
            f"{where}, column {full!r}: only text can be labeled; leave the row out, or drop the column if the "
            "conversation is whole without it"
        )


def without_nulls(value: Any) -> Any:
    """Return a JSON value without its nulls, at any depth: in a columnar file they are keys that a row has not."""
    if isinstance(value, Mapping):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(inner) for inner in value if inner is not None]
    return value


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


def _message(message: Any, number: int, where: str) -> dict[str, Any]:
    if isinstance(message, Mapping) and "from" in message and "role" not in message:
        message = spoken(message, number, where)
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise BadInput(f"{where}: message {number} has no text `role` and `content`")
    kept = without_nulls(message)
    if kept.get("tool_calls") == []:
        del kept["tool_calls"]
    try:
        plain = Message.model_validate(kept).model_dump()
    except ValidationError as error:
        raise BadInput(f"{where}: message {number}{_told(error, ' has')}") from None
    _encodable(text_of(plain["content"]), where)
    return plain


def _told(error: ValidationError, has: str = "") -> str:
    """The first thing that is wrong, with the keys that lead to it."""
    first = error.errors(include_url=False, include_input=False)[0]
    keys = ".".join(str(step) for step in first["loc"] if step not in {"Text", "List", KWARGS})
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{has} `{keys}`, which cannot be carried; drop it if the conversation is whole without it"
    return f"{f', `{keys}`' if keys else ''}: {message}" if has else message


def _encodable(text: str, where: str) -> str:
    """Return `text` if it can be encoded. One row that cannot would have its whole job refused."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{where}: character {error.start} is half a surrogate pair") from None
    return text


def _unlike(expected: str, value: object) -> str:
    if value is None:
        return "missing"
    found = "text" if isinstance(value, str) else "messages" if isinstance(value, list) else type(value).__name__
    return f"{found} where {expected} is expected" + (" (mixed formats)" if found in {"text", "messages"} else "")
