"""The shape of a conversation: everything about it that is not what its texts say.

What a chat template puts around an answer depends on the shape, but for the odd template that looks into the texts. So
it is read off one example of each shape.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenreward.chat_format.messages import Conversation

_CALL_ID = "qzcallzqz"  # nine letters and digits, as Mistral's templates want them
_TOOL = {"type": "function", "function": {"name": "f", "description": "a", "parameters": {"type": "object"}}}


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a conversation.

    Attributes:
        messages: Of each message its role, its keys, whether its content is text, and how many calls it has.
        tools: Whether there are tools.
        kwargs: The template's switches as JSON.
    """

    messages: tuple[tuple[str, frozenset[str], bool, int], ...]
    tools: bool
    kwargs: str

    @classmethod
    def of(cls, conversation: Conversation) -> Shape:
        """The shape of a conversation."""
        messages = tuple(
            (m["role"], frozenset(m), bool(m.get("content")), len(m.get("tool_calls") or ()))
            for m in conversation.messages
        )
        kwargs = json.dumps(conversation.kwargs, sort_keys=True) if conversation.kwargs else "{}"
        return cls(messages, bool(conversation.tools), kwargs)

    def example(self) -> Conversation:
        """A conversation of this shape, always the same one."""
        messages = [_message(*message) for message in self.messages]
        return Conversation(messages, [_TOOL] if self.tools else None, json.loads(self.kwargs))


def only_text(conversation: Conversation) -> bool:
    """Whether a conversation is nothing but texts, none of them empty."""
    return not conversation.tools and all(
        len(message) == 2 and isinstance(content := message.get("content"), str) and content.strip()
        for message in conversation.messages
    )


def _message(role: str, keys: frozenset[str], has_content: bool, calls: int) -> Mapping[str, Any]:
    call = {"type": "function", "id": _CALL_ID, "function": {"name": "f", "arguments": {}}}
    values: dict[str, Any] = {
        "content": "a" if has_content else "",
        "reasoning_content": "a",
        "tool_calls": [call] * calls,
        "tool_call_id": _CALL_ID,
        "name": "f",
    }
    return {"role": role} | {key: value for key, value in values.items() if key in keys}
