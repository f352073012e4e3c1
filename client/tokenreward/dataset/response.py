"""One response of a row, as it is sent to be labeled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenreward.dataset.columns import KWARGS, TOOLS


@dataclass(frozen=True)
class Response:
    """One response of a row.

    Attributes:
        side: The column it is from.
        prompt: Text or messages.
        text: The response as text, without thoughts and tool calls.
        token_ids: int `[T]`, the ids that it was sampled as, if the row has them.
        finished: Whether it ends its turn.
        message: The response as a message where it is more than text; else None.
        tools: The tools that the model may call, if the row has them.
        chat_template_kwargs: What the row tells the chat template, if anything.
        turns: Where all of the assistant's turns are scored, the messages from the first of them to the last.
        left_out: How many characters of the row's own text stand before `text`, and after it.
    """

    side: str
    prompt: str | list[dict[str, Any]]
    text: str
    token_ids: tuple[int, ...] | None = None
    finished: bool = True
    message: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    turns: list[dict[str, Any]] | None = None
    left_out: tuple[int, int] = (0, 0)

    def item(self) -> dict[str, Any]:
        """Return the response as an item to be labeled."""
        content: dict[str, Any] = {"response": self.text if self.message is None else self.message}
        if self.turns is not None:
            content = {"response": self.turns, "score": "all"}
        if self.token_ids is not None:
            content = {"token_ids": list(self.token_ids)}
        more = {TOOLS: self.tools, KWARGS: self.chat_template_kwargs}
        return {
            "prompt": self.prompt,
            **content,
            **({} if self.finished else {"finished": False}),
            **{name: value for name, value in more.items() if value},
        }

    @property
    def own_length(self) -> int:
        """How many characters the row's own text has."""
        return sum(self.left_out) + len(self.text)

    def moved(self, start: int, end: int) -> tuple[int, int] | None:
        """Return a span of the row's own text as a span of `text`.

        Args:
            start: The span's first character.
            end: The character behind its last one, at most `own_length`.

        Returns:
            Where it stands in `text`; None if nothing of it is there.
        """
        before, last = self.left_out[0], len(self.text)
        first, behind = (min(max(0, place - before), last) for place in (start, end))
        return (first, behind) if first < behind else None
