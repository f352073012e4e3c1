"""The prompt of a conversational response: what comes before its last message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenreward.dataset.row_values import messages_of
from tokenreward.errors import BadInput
from tokenreward.schema import Message
from tokenreward.schema.items import check_answer
from tokenreward.schema.messages import text_of


def before_last_message(
    row: Mapping[str, Any], side: str, prompt: str | list[dict[str, Any]] | None, named: str, where: str
) -> tuple[str | list[dict[str, Any]], dict[str, Any]]:
    """Split a conversational response into its prompt and its message.

    The response is the last message; the prompt is all that comes before it, or `prompt` if nothing does.

    Args:
        row: The row.
        side: The column with the response.
        prompt: The row's prompt, if it has one.
        named: The column that the prompt is from.
        where: How a person finds the row.

    Raises:
        BadInput: The last message is not the assistant's, or the messages before it contradict `prompt`.
    """
    *before, last = messages_of(row, side, where)
    if last["role"] != "assistant":
        raise BadInput(f"{where}, column {side!r}: the last message is from {last['role']!r}, not 'assistant'")
    try:
        check_answer(Message(**last))
    except ValueError:
        raise BadInput(f"{where}, column {side!r}: empty") from None
    if not before:
        if prompt is None:
            raise BadInput(f"{where}, column {side!r}: one message and no `prompt`: nothing it answers")
        return prompt, last
    if isinstance(prompt, list) and prompt != before:
        raise BadInput(
            f"{where}, column {side!r}: the messages before the last are not those of `{named}`; `--columns {named}=` "
            "leaves that column out"
        )
    if isinstance(prompt, str) and prompt != text_of(before[-1]["content"]):
        raise BadInput(
            f"{where}, column {side!r}: the message before the last is not `{named}`; `--columns {named}=` leaves "
            "that column out"
        )
    return before, last
