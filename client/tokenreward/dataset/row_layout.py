"""Finding the prompt and the responses in a row of an input file.

A row has one response, or a chosen and a rejected one. The formats are TRL's, standard (text) and conversational
(messages), with the prompt in a column of its own or implied by what both responses begin with. The first row decides;
a later row that differs is an error that names it. A response may come with its token ids (`token_ids`, or
`chosen_token_ids` and `rejected_token_ids`) and a flag whether it is `finished`. Ids are sent as they are. The columns
`tools` and `chat_template_kwargs` belong to the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tokenreward.dataset.columns import IDS, KEPT, KWARGS, LABELS, TEXTS, TOOLS, TURNS, prefix
from tokenreward.dataset.implicit_prompt import before_last_message, common_start
from tokenreward.dataset.row_values import (
    check_media,
    check_prompt,
    finished_of,
    kwargs_of,
    messages_of,
    text_in,
    token_ids_of,
    tools_of,
)
from tokenreward.dataset.scored_turns import turns_of
from tokenreward.errors import BadInput
from tokenreward.schema import Score
from tokenreward.schema.items import BETWEEN_TURNS
from tokenreward.schema.messages import ASSISTANT, text_of

Kind = Literal["response", "preference"]

_TEXT_ONLY = {"role", "content"}
#: Columns that may hold the one response of a row, the first that is there.
_SINGLE = ("response", "completion", "messages")


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


@dataclass(frozen=True)
class Layout:
    """How the rows of one file are read.

    Attributes:
        kind: Whether a row has one response or a pair.
        sides: The columns with responses.
        conversational: Whether they hold lists of messages.
        prompt: The form of the prompt's column, or None if the responses imply the prompt.
        score: Which turns of a conversation are scored.
    """

    kind: Kind
    sides: tuple[str, ...]
    conversational: bool
    prompt: Literal["text", "messages"] | None
    score: Score = "last"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that must be read from a row."""
        return (*(("prompt",) if self.prompt else ()), *self.sides)

    def added(self, texts: bool) -> list[str]:
        """Return the columns that labeling adds, in order."""
        names = LABELS + ((*TEXTS, *KEPT.values()) if texts else ())
        return [prefix(side) + name for side in self.sides for name in names]

    def responses(self, row: Mapping[str, Any], where: str) -> list[Response]:
        """Return the row's responses, one for each side.

        Raises:
            BadInput: The row differs from the layout. The message begins with `where` and names the column.
        """
        prompt = _prompt(row, self.prompt, where)
        if self.conversational and self.score == "all":
            parted = turns_of(row, self.sides, prompt, where)
        elif self.conversational:
            pairs = [before_last_message(row, side, prompt, where) for side in self.sides]
            if len(pairs) == 2 and pairs[0][0] != pairs[1][0]:
                raise BadInput(
                    f"{where}: 'chosen' and 'rejected' differ before their last message (`--score all` scores pairs "
                    "of several turns)"
                )
            parted = [(asked, [last]) for asked, last in pairs]
        else:
            texts = [text_in(row, side, where) for side in self.sides]
            if prompt is None:
                prompt, texts = common_start(texts, where)
            parted = [(prompt, [{"role": "assistant", "content": text}]) for text in texts]
        for side, (asked, _) in zip(self.sides, parted, strict=True):
            check_prompt(asked, "prompt" if prompt is not None else side, where)
        check_media(row, where)
        tools, kwargs = tools_of(row, where), kwargs_of(row, where)
        return [
            Response(
                side,
                asked,
                BETWEEN_TURNS.join(text for turn in said if (text := _text(turn))),
                self._ids(row, side, where),
                finished_of(row, side, where),
                None if said[-1].keys() == _TEXT_ONLY and isinstance(said[-1]["content"], str) else said[-1],
                tools,
                kwargs,
                said if self.score == "all" else None,
            )
            for side, (asked, said) in zip(self.sides, parted, strict=True)
        ]

    def _ids(self, row: Mapping[str, Any], side: str, where: str) -> tuple[int, ...] | None:
        ids = token_ids_of(row, side, where)
        if ids is not None and self.score == "all":
            raise BadInput(
                f"{where}, column {prefix(side) + IDS!r}: token ids do not say which turn they are of; leave the "
                "column out, or score = 'last'"
            )
        return ids


def score_of(row: Mapping[str, Any]) -> Score:
    """Return which turns the labels of a labeled row are of."""
    return "all" if any(prefix(side) + TURNS in row for side in ("response", "chosen", "rejected")) else "last"


def layout_of(row: Mapping[str, Any], where: str, score: Score = "last") -> Layout:
    """Return the layout that a file's first row shows.

    Args:
        row: The row.
        where: How a person finds it.
        score: Which turns of a conversation are scored.

    Raises:
        BadInput: It has no layout that is known, or it has labels already.
    """
    if "chosen" in row or "rejected" in row:
        sides: tuple[str, ...] = ("chosen", "rejected")
    else:
        sides = next(((name,) for name in _SINGLE if name in row), ())
    missing = [side for side in sides if side not in row]
    if not sides or missing:
        raise BadInput(
            f"{where}: no column {missing[0] if missing else 'response'!r} among {', '.join(map(repr, row)) or 'none'};"
            " rows have `prompt` and `response` (or `completion`), or `prompt`, `chosen` and `rejected`"
        )
    conversational = isinstance(row[sides[0]], list)
    has_prompt = row.get("prompt") is not None
    if not has_prompt and len(sides) == 1 and not conversational:
        raise BadInput(f"{where}, column 'prompt': missing; a single response in text form needs one")
    form: Literal["text", "messages"] = "messages" if isinstance(row.get("prompt"), list) else "text"
    layout = Layout(
        "preference" if len(sides) == 2 else "response", sides, conversational, form if has_prompt else None, score
    )
    taken = [name for name in layout.added(texts=True) if name in row and not name.endswith(IDS)]
    if taken:
        raise BadInput(f"the input has a column {taken[0]!r} already: it is labeled, or needs another name")
    return layout


def _text(message: Mapping[str, Any]) -> str:
    """What an assistant says in a message; nothing of anybody else's."""
    return text_of(message["content"]) if message["role"] in ASSISTANT else ""


def _prompt(row: Mapping[str, Any], form: str | None, where: str) -> str | list[dict[str, Any]] | None:
    if form is None:
        if row.get("prompt") is not None:
            raise BadInput(f"{where}, column 'prompt': the rows before it had none (mixed formats)")
        return None
    if form == "messages":
        return messages_of(row, "prompt", where)
    return text_in(row, "prompt", where)
