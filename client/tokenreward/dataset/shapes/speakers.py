"""ShareGPT's messages: `from` says who speaks, and `value` what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenreward.errors import BadInput

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
}
#: Keys that some sets have beside these two, and that say nothing about the conversation.
_BESIDE = frozenset({"from", "value", "weight", "markdown", "text"})


def spoken(message: Mapping[str, Any], number: int, where: str) -> dict[str, Any]:
    """Return a message of ShareGPT's as one with `role` and `content`.

    Args:
        message: The message.
        number: Its place in the conversation.
        where: How a person finds the conversation.

    Raises:
        BadInput: Nobody knows the speaker, or it says no text.
    """
    speaker = message["from"]
    role = _ROLES.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise BadInput(f"{where}: message {number} is from {speaker!r}; known: {', '.join(map(repr, _ROLES))}")
    if not isinstance(message.get("value"), str):
        raise BadInput(f"{where}: message {number} has no text `value`")
    others = {name: value for name, value in message.items() if name not in _BESIDE}
    return {"role": role, "content": message["value"], **others}
