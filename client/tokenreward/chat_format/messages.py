"""What a conversation may hold before any chat template sees it: known roles, and a turn for the assistant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenreward.errors import BadInput
from tokenreward.schema import Item
from tokenreward.schema import Message as ItemMessage
from tokenreward.schema.messages import ASSISTANT, ENDS_IN_ANSWER, text_of

Message = Mapping[str, Any]
Prompt = str | Sequence[Message]

#: Chat templates write roles inside control tokens (`<|` + role + `|>`), so a role is a name we know and not any text.
ROLES = frozenset({"system", "developer", "user", "assistant", "model", "tool", "function", "ipython"})


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything that a chat template is told before the answer.

    Attributes:
        messages: The messages, as they were sent; the last one is not the assistant's.
        tools: The tools that the model may call, as JSON schemas.
        kwargs: Switches of the template by their names; `today` is the date that it is told, `2025-01-31`.
    """

    messages: Sequence[Message]
    tools: Sequence[Message] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, prompt: Prompt, tools: Sequence[Message] | None = None, kwargs: Mapping[str, Any] | None = None
    ) -> Conversation:
        """Makes a conversation of a prompt, which is messages or the text of the user's only one.

        Raises:
            BadInput: A role is unknown, or the last message is an assistant's.
        """
        if isinstance(prompt, str):
            return cls([{"role": "user", "content": prompt}], tools, kwargs or {})
        check_roles(message["role"] for message in prompt)
        if prompt and prompt[-1]["role"] in ASSISTANT:
            raise BadInput(ENDS_IN_ANSWER)
        return cls(prompt, tools, kwargs or {})

    @classmethod
    def of_item(cls, item: Item) -> Conversation:
        """Makes the conversation that an item's response answers, or the first of the turns that are scored.

        Raises:
            BadInput: See `of`.
        """
        asked = item.asked
        prompt = asked if isinstance(asked, str) else [message.model_dump() for message in asked]
        return cls.of(prompt, item.tools, item.chat_template_kwargs)


def check_roles(roles: Iterable[str]) -> None:
    """Raises BadInput for the first role that is unknown."""
    odd = next((role for role in roles if role not in ROLES), None)
    if odd is not None:
        raise BadInput(f"the role {odd!r} is none of {', '.join(sorted(ROLES))}")


def answer_of(item: Item) -> str | dict[str, Any]:
    """The answer of an item that has one as text, and no other turn is scored: the text, or an assistant's message."""
    assert not isinstance(item.response, list), "several turns are read as a trajectory"
    if isinstance(item.response, ItemMessage):
        return item.response.model_dump()
    return item.response or ""


def said_of(item: Item) -> list[dict[str, Any]]:
    """The messages of an item from the first turn that is scored to the last one.

    Raises:
        BadInput: A role is unknown.
    """
    said = [message.model_dump() for message in item.said]
    check_roles(message["role"] for message in said)
    return said


def answer_message(answer: str | Message) -> dict[str, Any]:
    """An answer as the assistant's message."""
    return {"role": "assistant", "content": answer} if isinstance(answer, str) else dict(answer)


def system_in_user_turn(messages: Sequence[Message]) -> list[Message]:
    """The conversation for a model without a system role: its system message opens the first user turn."""
    if [message["role"] for message in messages[:2]] != ["system", "user"]:
        return list(messages)
    system, first, *rest = messages
    opening = text_of(system["content"]) + "\n\n" + text_of(first["content"])
    return [{**first, "content": opening}, *rest]
