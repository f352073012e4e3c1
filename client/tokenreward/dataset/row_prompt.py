"""The prompt that a row states, in whatever columns: text, messages or a transcript, with a system message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tokenreward.dataset.row_values import messages_of, text_in
from tokenreward.dataset.shapes.find import Shape
from tokenreward.dataset.shapes.names import SYSTEMS
from tokenreward.dataset.shapes.transcripts import check_plain, prompt_turns
from tokenreward.errors import BadInput
from tokenreward.schema.messages import text_of

Messages = list[dict[str, Any]]
#: What a prompt's column holds.
Form = Literal["text", "messages"]


def prompt_in(row: Mapping[str, Any], shape: Shape, form: Form | None, where: str) -> str | Messages | None:
    """Return the prompt of a row without its system message, or None if the responses imply it.

    Args:
        row: The row.
        shape: Which columns hold it.
        form: What the column of the file's first row held; None if there was no prompt.
        where: How a person finds the row.

    Raises:
        BadInput: The row's prompt is missing, empty, or of another form.
    """
    if form is None or shape.prompt is None:
        if row.get("prompt") is not None:
            raise BadInput(f"{where}, column 'prompt': the rows before it had none (mixed formats)")
        return None
    if form == "messages":
        return messages_of(row, shape.prompt, where)
    text = text_in(row, shape.prompt, where)
    check_plain(text, shape.prompt, where)
    more = (text_in(row, name, where) for name in shape.follows if row.get(name))
    text = "\n\n".join((text, *more))
    turns = prompt_turns(text)
    if turns is not None and not all(turn["content"] for turn in turns):
        raise BadInput(f"{where}, column {shape.prompt!r}: a turn of the transcript is empty")
    return text if turns is None else turns


def with_system(asked: str | Messages, row: Mapping[str, Any], where: str) -> str | Messages:
    """Return the prompt with the row's system message before it, if the row has one.

    Args:
        asked: The prompt.
        row: The row.
        where: How a person finds the row.

    Raises:
        BadInput: The column holds no text, or the prompt has another system message.
    """
    column = next((name for name in SYSTEMS if row.get(name) not in (None, "")), None)
    if column is None:
        return asked
    said = text_in(row, column, where)
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if messages[0]["role"] != "system":
        return [{"role": "system", "content": said}, *messages]
    if text_of(messages[0]["content"]) != said:
        raise BadInput(f"{where}, column {column!r}: the conversation has another system message")
    return messages
