"""What was understood of an input, in words, before its first row is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tokenreward.dataset.chunks import Survey
from tokenreward.dataset.response import Response
from tokenreward.dataset.row_layout import Layout
from tokenreward.html.escaping import visible
from tokenreward.schema import Message
from tokenreward.templates import transcript

#: Characters that are shown of a text.
_SHOWN = 100


@dataclass(frozen=True)
class Understood:
    """What was understood of an input.

    Attributes:
        layout: How its rows are read.
        extent: Its size.
        example: The responses of its first row that can be labeled.
        rejected: How many rows are left out.
    """

    layout: Layout
    extent: Survey
    example: Sequence[Response]
    rejected: int = 0

    def lines(self) -> list[str]:
        """Return what was understood, for a person: the size and the form in one line, then the first row."""
        form = "conversational" if self.layout.conversational else "transcripts" if self.layout.transcripts else "text"
        kind = "preference" if self.layout.kind == "preference" else "one response a row"
        rows = _count(self.extent.rows, "row")
        left_out = f" ({_count(self.rejected, 'more row')} left out)" if self.rejected else ""
        said = [f"{rows}{left_out}, {kind}, {form}; {self._prompt()}; {self._response()}; e.g."]
        first = self.example[0]
        asked = first.prompt if isinstance(first.prompt, str) else [Message(**message) for message in first.prompt]
        said.append(f"  prompt    {_short(transcript(asked), end=True)}")
        said += [f"  {one.side:<9} {_short(_said(one))}" for one in self.example]
        return said

    def warnings(self) -> list[str]:
        """Return what a person should look at before relying on it."""
        found = []
        if self.layout.guessed:
            first = self.example[0]
            split = "".join(f", {one.side} {_short(one.text)}" for one in self.example)
            found.append(
                f"the rows have no `prompt`; it is guessed to end at {self.layout.parted_at}. The first row: prompt "
                f"{_short(str(first.prompt), end=True)}{split}. If that is wrong, give the file a column `prompt`"
            )
        return found

    def _prompt(self) -> str:
        shape, first = self.layout.shape, self.example[0]
        where = f"`{shape.prompt}`" if shape.prompt is not None else f"what `{shape.sides[0]}` begins with"
        columns = " and ".join([where, *(f"`{name}`" for name in shape.beside)])
        turns = len(first.prompt) if isinstance(first.prompt, list) else 1
        return f"prompt = {columns}, {_count(turns, 'turn')}"

    def _response(self) -> str:
        shape, turns = self.layout.shape, self.example[0].turns
        if shape.listed:
            return f"response = each of `{shape.sides[0]}`"
        names = " and ".join(f"`{side}`" for side in shape.sides)
        if not self.layout.conversational:
            return f"response = {names}"
        which = "the last message" if turns is None else "every turn of the assistant"
        return f"response = {which} of {names}"


def _said(response: Response) -> str:
    if response.text or response.message is None:
        return response.text
    return json.dumps(response.message, ensure_ascii=False)


def _short(text: str, *, end: bool = False) -> str:
    """Return a text's beginning, or its end, in quotation marks and on one line."""
    line = visible(" ".join(text.split()))
    if len(line) > _SHOWN:
        line = f"...{line[-_SHOWN:]}" if end else f"{line[:_SHOWN]}..."
    return f'"{line}"'


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
