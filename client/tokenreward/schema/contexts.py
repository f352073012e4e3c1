"""What an item knows beside its prompt and response: context fields, and spans of the response."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Discriminator, Field, Tag

from tokenreward.schema.messages import Message

#: The most values of a field that is a list.
MOST_VALUES = 64

FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


def _form(value: object) -> str:
    """Return which form a value has, so that an error is about the form that was meant."""
    if not isinstance(value, list | tuple):
        return "Text"
    return "Messages" if value and isinstance(value[0], dict | Message) else "Texts"


#: A text, several texts, or a conversation.
ContextValue = Annotated[
    Annotated[str, Tag("Text")]
    | Annotated[list[str], Tag("Texts"), Field(max_length=MOST_VALUES, fail_fast=True)]
    | Annotated[list[Message], Tag("Messages"), Field(max_length=MOST_VALUES, fail_fast=True)],
    Discriminator(_form),
]

#: Context fields by name.
Context = Annotated[dict[FieldName, ContextValue], Field(max_length=16)]

#: The characters `[start, end)` of a segment of the response.
Span = tuple[Annotated[int, Field(ge=0, strict=True)], Annotated[int, Field(ge=0, strict=True)]]


def check_spans(spans: Sequence[tuple[int, int]], length: int | None) -> None:
    """Raise ValueError unless spans are in order, apart, not empty, and end within the response.

    Args:
        spans: The characters of each segment.
        length: The response's length in characters; None if it is not known yet.
    """
    before = 0
    for number, (start, end) in enumerate(spans):
        if start >= end:
            raise ValueError(f"spans[{number}] = [{start}, {end}] is empty; the end is not included")
        if start < before:
            raise ValueError(f"spans[{number}] = [{start}, {end}] begins before the one before it has ended")
        if length is not None and end > length:
            raise ValueError(f"spans[{number}] = [{start}, {end}] ends beyond the response's {length} characters")
        before = end


def value_texts(value: str | Sequence[str | Message]) -> Iterator[str]:
    """Yield every text of a context field, for estimates of size."""
    if isinstance(value, str):
        yield value
        return
    for part in value:
        if isinstance(part, str):
            yield part
        else:
            yield from message_texts(part)


def message_texts(message: Message) -> Iterator[str]:
    """Yield every text of a message, its thought and its tool calls included."""
    yield message.text
    if message.reasoning_content:
        yield message.reasoning_content
    if message.tool_calls:
        yield json.dumps(message.tool_calls, ensure_ascii=False)
