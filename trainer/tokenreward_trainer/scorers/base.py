"""The seam between ranking and what it ranks by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Prompt = str | list[dict[str, Any]]


@dataclass(frozen=True)
class Group:
    """The responses to one prompt.

    Attributes:
        prompt: Text or messages.
        responses: The responses' texts, with the mark of a thought that the generation prompt opened.
        token_ids: The tokens of each response.
        row: The prompt's other columns (`check`, say).
        where: How a person finds it.
    """

    prompt: Prompt
    responses: Sequence[str]
    token_ids: Sequence[Sequence[int]]
    row: Mapping[str, Any]
    where: str


class Scorer(Protocol):
    """Scores groups: higher is better, None is a response that cannot be scored.

    Attributes:
        identity: What the scores depend on, as JSON; equal identities give equal scores.
    """

    identity: dict[str, Any]

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Returns one score for each response of each group.

        Raises:
            BadInput: A group cannot be scored; the message says where it is.
        """
        ...


def messages_of(prompt: Prompt) -> list[dict[str, Any]]:
    """Returns a prompt as messages."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(message) for message in prompt]
