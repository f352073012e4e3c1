"""What a conversation may hold before any chat template sees it: known roles, text, a place for the system message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenreward.errors import BadInput

Prompt = str | Sequence[Mapping[str, Any]]

#: Chat templates write roles inside control tokens (`<|` + role + `|>`), so a role is a name we know and not any text.
ROLES = frozenset({"system", "developer", "user", "assistant", "model", "tool", "function", "ipython"})


def messages_of(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as messages with `role` and `content`; text is a single message of the user.

    Raises:
        BadInput: A role is unknown.
    """
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    check_roles(message["role"] for message in prompt)
    return [{"role": message["role"], "content": message["content"]} for message in prompt]


def check_roles(roles: Iterable[str]) -> None:
    """Raises BadInput for the first role that is unknown."""
    odd = next((role for role in roles if role not in ROLES), None)
    if odd is not None:
        raise BadInput(f"the role {odd!r} is none of {', '.join(sorted(ROLES))}")


def system_in_user_turn(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The conversation for a model without a system role: its system message opens the first user turn."""
    if [message["role"] for message in messages[:2]] != ["system", "user"]:
        return list(messages)
    system, first, *rest = messages
    return [{"role": "user", "content": system["content"] + "\n\n" + first["content"]}, *rest]
