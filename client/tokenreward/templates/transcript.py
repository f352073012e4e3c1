"""Conversations in words, for templates that show one inside a message. Nothing of a conversation is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tokenreward.schema import Message, Prompt
from tokenreward.schema.messages import function_of

#: What a transcript calls each role.
_SPEAKERS = {"user": "User", "assistant": "Assistant", "system": "System"}


def transcript(prompt: Prompt, tools: Sequence[dict[str, Any]] | None = None) -> str:
    """Return the prompt as text: itself, its only user message, or a transcript of several messages.

    Args:
        prompt: The prompt.
        tools: The tools that the model may call. They come first.
    """
    before = [] if not tools else ["Tools:\n" + "\n".join(map(_json, tools))]
    if isinstance(prompt, str):
        return "\n\n".join([*before, prompt])
    if len(prompt) == 1 and prompt[0].role == "user" and prompt[0].only_text:
        return "\n\n".join([*before, prompt[0].text])
    return "\n\n".join([*before, *(f"{_speaker(message)}: {part}" for message in prompt for part in _parts(message))])


def in_words(message: Message | Mapping[str, Any]) -> str:
    """Return what a message says: its thought, its text and its calls, one after the other."""
    return "\n\n".join(_parts(message if isinstance(message, Message) else Message(**message)))


def _speaker(message: Message) -> str:
    speaker = _SPEAKERS.get(message.role, message.role.capitalize())
    return f"{speaker} ({message.name})" if message.name else speaker


def _parts(message: Message) -> list[str]:
    thought = [f"(thinks) {message.reasoning_content}"] if message.reasoning_content else []
    calls = [_call(call) for call in message.tool_calls or ()]
    said = [message.text] if message.text or not (thought or calls) else []
    return [*thought, *said, *calls]


def _call(call: dict[str, Any]) -> str:
    function = function_of(call)
    arguments = function.get("arguments", {})
    return f"(calls {function['name']}) {arguments if isinstance(arguments, str) else _json(arguments)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
