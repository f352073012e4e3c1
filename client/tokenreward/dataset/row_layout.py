"""What a row of an input file is: a prompt, and one response or a chosen and a rejected one.

This is the one place that decides it, for labeling, training, showing and auditing alike. `shapes` knows the columns of
public data sets and their forms: text, messages, transcripts, lists of responses. The first row decides on the shape; a
later row that differs is an error that names it. A response may come with its token ids (`token_ids`, or
`chosen_token_ids` and `rejected_token_ids`) and a flag whether it is `finished`. Ids are sent as they are. The columns
`tools` and `chat_template_kwargs` belong to the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tokenreward.dataset.before_last_message import before_last_message
from tokenreward.dataset.columns import FINISHED, IDS, KEPT, KWARGS, LABELS, MEDIA, TEXTS, TOOLS, TURNS, prefix
from tokenreward.dataset.response import Response
from tokenreward.dataset.row_prompt import Form, prompt_in, with_system
from tokenreward.dataset.row_values import (
    check_media,
    check_prompt,
    finished_of,
    kwargs_of,
    text_in,
    token_ids_of,
    tools_of,
)
from tokenreward.dataset.scored_turns import turns_of
from tokenreward.dataset.shapes.find import Shape, shape_of
from tokenreward.dataset.shapes.implied import HH, check_no_other_prompt, parted
from tokenreward.dataset.shapes.lists import unpacked
from tokenreward.dataset.shapes.transcripts import check_answer, check_plain, hh_answered, hh_turns, is_hh
from tokenreward.errors import BadInput
from tokenreward.schema import Score
from tokenreward.schema.items import BETWEEN_TURNS
from tokenreward.schema.messages import ASSISTANT, text_of

__all__ = ["Layout", "Response", "layout_of", "score_of"]

Kind = Literal["response", "preference"]
Messages = list[dict[str, Any]]

_TEXT_ONLY = {"role", "content"}


@dataclass(frozen=True)
class Layout:
    """How the rows of one file are read.

    Attributes:
        shape: The columns that hold prompt and responses.
        conversational: Whether the responses are lists of messages.
        prompt: The form of the prompt's column, or None if the responses imply the prompt.
        parted_at: Where an implied prompt ends in texts, in words; None if there is none.
        score: Which turns of a conversation are scored.
    """

    shape: Shape
    conversational: bool
    prompt: Form | None
    parted_at: str | None = None
    score: Score = "last"

    @property
    def kind(self) -> Kind:
        """Whether a row has one response or a pair."""
        return "preference" if len(self.sides) == 2 else "response"

    @property
    def sides(self) -> tuple[str, ...]:
        """The columns with responses."""
        return self.shape.sides

    @property
    def transcripts(self) -> bool:
        """Whether the responses are at the end of transcripts in Anthropic's form."""
        return self.parted_at == HH

    @property
    def guessed(self) -> bool:
        """Whether the end of the prompt is a guess."""
        return self.parted_at is not None and not self.transcripts

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that must be read from a row."""
        ours = (start + name for name in (IDS, FINISHED) for start in dict.fromkeys(map(prefix, self.sides)))
        return tuple(dict.fromkeys((*self.shape.columns, TOOLS, KWARGS, *MEDIA, *ours, "prompt")))

    def added(self, texts: bool) -> list[str]:
        """Return the columns that labeling adds, in order."""
        names = LABELS + ((*TEXTS, *KEPT.values()) if texts else ())
        return [prefix(side) + name for side in self.sides for name in names]

    def responses(self, row: Mapping[str, Any], where: str) -> list[Response]:
        """Return the row's responses, one for each side.

        Raises:
            BadInput: The row differs from the layout. The message begins with `where` and names the column.
        """
        if self.shape.listed:
            row = unpacked(row, self.sides[0], where)
        prompt = prompt_in(row, self.shape, self.prompt, where)
        said = self._conversations(row, prompt, where) if self.conversational else self._texts(row, prompt, where)
        for side, (asked, _) in zip(self.sides, said, strict=True):
            check_prompt(asked, self.shape.prompt or side, where)
        check_media(row, where)
        tools, kwargs = tools_of(row, where), kwargs_of(row, where)
        return [
            Response(
                side,
                with_system(asked, row, where),
                BETWEEN_TURNS.join(text for turn in turns if (text := _text(turn))),
                self._ids(row, side, where),
                finished_of(row, side, where),
                None if turns[-1].keys() == _TEXT_ONLY and isinstance(turns[-1]["content"], str) else turns[-1],
                tools,
                kwargs,
                turns if self.score == "all" else None,
                _left_out(row.get(side), turns),
            )
            for side, (asked, turns) in zip(self.sides, said, strict=True)
        ]

    def _conversations(
        self, row: Mapping[str, Any], prompt: str | Messages | None, where: str
    ) -> list[tuple[str | Messages, Messages]]:
        if self.score == "all":
            return turns_of(row, self.sides, prompt, where)
        named = self.shape.prompt or "prompt"
        pairs = [before_last_message(row, side, prompt, named, where) for side in self.sides]
        if len(pairs) == 2 and pairs[0][0] != pairs[1][0]:
            raise BadInput(
                f"{where}: 'chosen' and 'rejected' differ before their last message (`--score all` scores pairs "
                "of several turns)"
            )
        return [(asked, [last]) for asked, last in pairs]

    def _texts(
        self, row: Mapping[str, Any], prompt: str | Messages | None, where: str
    ) -> list[tuple[str | Messages, Messages]]:
        texts = [text_in(row, side, where) for side in self.sides]
        for side, text in zip(self.sides, texts, strict=True):
            check_plain(text, side, where)
        if self.transcripts and self.score == "all" and all(map(is_hh, texts)):
            whole = {side: hh_turns(text, where) for side, text in zip(self.sides, texts, strict=True)}
            return turns_of(whole, self.sides, None, where)
        if prompt is None:
            found = parted(texts, where, self.parted_at)
            prompt, texts = found.prompt, list(found.rest)
        elif isinstance(prompt, list) and all(map(is_hh, texts)):  # the sides repeat the transcript
            repeated = [hh_answered(text, where) for text in texts]
            if any(asked != prompt for asked, _ in repeated):
                raise BadInput(f"{where}: the transcripts do not begin with `{self.shape.prompt}`")
            texts = [answer for _, answer in repeated]
        elif isinstance(prompt, list) and self.prompt == "text":  # a transcript, after which blanks are no text
            texts = [text.strip() for text in texts]
            for side, text in zip(self.sides, texts, strict=True):
                check_answer(text, f"{where}, column {side!r}")
        empty = next((side for side, text in zip(self.sides, texts, strict=True) if not text), None)
        if empty is not None:
            raise BadInput(f"{where}, column {empty!r}: empty")
        return [(prompt, [{"role": "assistant", "content": text}]) for text in texts]

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
    shape = shape_of(row, where)
    first = unpacked({**row, shape.sides[0]: row[shape.sides[0]][:1]}, shape.sides[0], where) if shape.listed else row
    conversational = isinstance(first[shape.sides[0]], list | Mapping)
    if shape.prompt is None and len(shape.sides) == 1 and not conversational:
        raise BadInput(
            f"{where}, column 'prompt': missing; a single response in text form needs one (--columns prompt=COLUMN)"
        )
    form: Form | None = None
    if shape.prompt is not None:
        form = "messages" if isinstance(row[shape.prompt], list | Mapping) else "text"
    at = None
    if form is None and not conversational:
        check_no_other_prompt(row, where)
        texts = [text_in(row, side, where) for side in shape.sides]
        for side, text in zip(shape.sides, texts, strict=True):
            check_plain(text, side, where)
        at = parted(texts, where).at
    layout = Layout(shape, conversational, form, at, score)
    taken = [name for name in layout.added(texts=True) if name in row and not name.endswith(IDS)]
    if taken:
        raise BadInput(f"the input has a column {taken[0]!r} already: it is labeled, or needs another name")
    return layout


def _text(message: Mapping[str, Any]) -> str:
    """What an assistant says in a message; nothing of anybody else's."""
    return text_of(message["content"]) if message["role"] in ASSISTANT else ""


def _left_out(own: object, turns: Messages) -> tuple[int, int]:
    """How many blanks of a response's column were left out before and after the one turn that it became."""
    if not isinstance(own, str) or own.strip() != turns[0]["content"]:
        return 0, 0
    return len(own) - len(own.lstrip()), len(own) - len(own.rstrip())
