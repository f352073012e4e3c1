"""Where the turns that are scored begin in a row whose responses have several: `score = "all"`.

They are what comes after the row's `prompt`. Where there is none, they begin at the first assistant's message. In a
pair they begin at the last one before which both sides are the same: what both share is a prompt, and is not scored
twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenreward.dataset.row_values import messages_of
from tokenreward.errors import BadInput
from tokenreward.schema import Message
from tokenreward.schema.items import check_answer
from tokenreward.schema.messages import text_of

Messages = list[dict[str, Any]]
Asked = str | Messages


def turns_of(
    row: Mapping[str, Any], sides: Sequence[str], prompt: Asked | None, where: str
) -> list[tuple[Asked, Messages]]:
    """Split each side's messages into what stands before the turns that are scored, and those turns.

    Args:
        row: The row.
        sides: The columns with responses.
        prompt: The row's prompt, if it has one.
        where: How a person finds the row.

    Returns:
        Of each side the prompt, and the messages from the first scored turn to the last, both of them an assistant's.

    Raises:
        BadInput: A side does not end with an assistant's message, has nothing before its first turn, contradicts
            `prompt`, or the sides do not answer the same.
    """
    every = [messages_of(row, side, where) for side in sides]
    for side, messages in zip(sides, every, strict=True):
        _check_end(messages, f"{where}, column {side!r}")
    if prompt is None:
        start = _shared_start(every, sides, where)
        return [(messages[:start], messages[start:]) for messages in every]
    found = [_after(prompt, messages, f"{where}, column {s!r}") for s, messages in zip(sides, every, strict=True)]
    if any(asked != found[0][0] for asked, _ in found):
        raise BadInput(f"{where}: {sides[0]!r} and {sides[1]!r} differ before the first turn that is scored")
    return found


def _check_end(messages: Messages, where: str) -> None:
    last = messages[-1]
    if last["role"] != "assistant":
        raise BadInput(f"{where}: the last message is from {last['role']!r}, not 'assistant'")
    try:
        check_answer(Message(**last))
    except ValueError:
        raise BadInput(f"{where}: empty") from None


def _shared_start(every: Sequence[Messages], sides: Sequence[str], where: str) -> int:
    """The number of messages before the first scored turn, the same on all sides."""
    first, *others = every
    alike = min(map(len, every))
    if others:
        alike = next((n for n in range(alike) if any(other[n] != first[n] for other in others)), alike)
        turns = [n for n in range(min(alike + 1, *map(len, every))) if all(m[n]["role"] == "assistant" for m in every)]
        start = turns[-1] if turns else None
    else:
        start = next(n for n, message in enumerate(first) if message["role"] == "assistant")
    if start is None:
        raise BadInput(f"{where}: {sides[0]!r} and {sides[1]!r} differ before the assistant's first turn")
    if not start:
        raise BadInput(f"{where}, column {sides[0]!r}: begins with an assistant's message and no `prompt`")
    return start


def _after(prompt: Asked, messages: Messages, where: str) -> tuple[Asked, Messages]:
    if messages[0]["role"] == "assistant":
        return prompt, messages
    if isinstance(prompt, str):
        start = next(n for n, message in enumerate(messages) if message["role"] == "assistant")
        if text_of(messages[start - 1]["content"]) != prompt:
            raise BadInput(f"{where}: the message before the assistant's first turn is not `prompt`")
        return messages[:start], messages[start:]
    start = len(prompt)
    if messages[:start] != prompt:
        raise BadInput(f"{where}: the messages do not begin with those of `prompt`")
    if start == len(messages) or messages[start]["role"] != "assistant":
        raise BadInput(f"{where}: what follows `prompt` does not begin with an assistant's message")
    return prompt, messages[start:]
