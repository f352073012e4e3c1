"""The rows of a labeled file, prepared for drawing.

A row that cannot be drawn is reported in its place, so that it hides none of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tokenreward.dataset.formats import read_labeled
from tokenreward.errors import BadInput
from tokenreward.schema import Message
from tokenreward.show.cells import Cell, cells, segment_cells
from tokenreward.show.labeled_response import Ask, LabeledResponse, labeled_responses, with_tokens
from tokenreward.show.marked_cells import marked
from tokenreward.templates import transcript


@dataclass(frozen=True)
class Shown:
    """One response as it is drawn.

    Attributes:
        side: The column it is from.
        cells: Its pieces.
        rewards: One for each token.
        error: Why there are none.
        note: What a reader should know of the pieces.
    """

    side: str
    cells: tuple[Cell, ...]
    rewards: tuple[float, ...]
    error: str | None = None
    note: str | None = None

    @property
    def total(self) -> float:
        """The sum of the rewards."""
        return sum(self.rewards)

    @property
    def mean(self) -> float:
        """The mean reward, or 0 without tokens."""
        return self.total / len(self.rewards) if self.rewards else 0.0


@dataclass(frozen=True)
class ShownRow:
    """One row as it is drawn.

    Attributes:
        name: Its id, or its number.
        prompt: The prompt as text.
        responses: Its one response, or its chosen and rejected ones.
    """

    name: str
    prompt: str
    responses: tuple[Shown, ...]


def shown_rows(path: Path, start: int, count: int, ask: Ask) -> list[ShownRow]:
    """Return some rows of a labeled file.

    Args:
        path: The file.
        start: The number of the first row.
        count: How many rows.
        ask: Asks the service for the tokens of items, if the file does not hold them.

    Raises:
        BadInput: There are no such rows, or none of them can be drawn.
    """
    rows = list(islice(read_labeled(path), start, start + count))
    if not rows:
        raise BadInput(f"{path}: no rows from {start}")
    read = [_read(row, f"{path}, row {number}") for number, row in enumerate(rows, start)]
    troubles = [found for found in read if isinstance(found, BadInput)]
    if len(troubles) == len(rows):
        raise troubles[0]
    told = iter(with_tokens([response for found in read if not isinstance(found, BadInput) for response in found], ask))
    drawn = []
    for number, (row, found) in enumerate(zip(rows, read, strict=True), start):
        name = str(row.get("id", number))
        if isinstance(found, BadInput):
            drawn.append(ShownRow(name, "", (Shown("row", (), (), str(found)),)))
        else:
            prompt = _prompt_text(found[0].response.prompt)
            drawn.append(ShownRow(name, prompt, tuple(_shown(next(told)) for _ in found)))
    return drawn


def _read(row: Mapping[str, Any], where: str) -> list[LabeledResponse] | BadInput:
    try:
        return labeled_responses(row, where)
    except BadInput as error:
        return error


def _shown(labeled: LabeledResponse) -> Shown:
    side, text = labeled.response.side, labeled.response.text
    if labeled.error is not None:
        return Shown(side, (Cell(text),), (), labeled.error)
    if labeled.tokens is None:
        if (pooled := segment_cells(text, labeled.segments)) is not None:
            return Shown(side, tuple(pooled), tuple(labeled.rewards))
        ids = [Cell(f"{token} ", (reward,), special=True) for token, reward in zip(*labeled.scored, strict=True)]
        return Shown(side, tuple(ids), tuple(labeled.rewards), note=labeled.note)
    offsets = labeled.offsets if _says(text, labeled.tokens, labeled.offsets) else None
    drawn = cells(text, labeled.tokens, offsets, labeled.rewards)
    segments = labeled.segments if offsets is not None else ()
    return Shown(side, tuple(marked(drawn, segments)), tuple(labeled.rewards))


def _says(text: str, tokens: Sequence[str], offsets: Sequence[Sequence[int]] | None) -> bool:
    """Return whether the spans show in `text` what the tokens say.

    Ids that were sampled need not spell the text beside them, and the service's spans are those of what they spell.
    """
    spans = [*(offsets or ())]
    return all(
        text[first:last] in token or "\ufffd" in token  # a part of a character
        for token, (first, last) in zip(tokens, spans, strict=False)
    )


def _prompt_text(prompt: str | list[dict[str, Any]]) -> str:
    return transcript(prompt if isinstance(prompt, str) else [Message(**message) for message in prompt])
