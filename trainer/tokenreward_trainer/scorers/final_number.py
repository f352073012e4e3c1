"""Right or wrong by the last number of a response: 1 if it is the answer, else 0."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from tokenreward.errors import BadInput
from tokenreward_trainer.scorers.base import Group

#: 1,234.5 and -3 and 7 and .5; a point at the end of a sentence is none of it.
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|-?\.\d+")
#: How far a number may be off, relative to the answer.
_CLOSE = 1e-6


class FinalNumber:
    """Scores by the answer in a column of the prompt.

    Args:
        column: The column with a number, or with a text whose last number is the answer (as in GSM8K's `#### 72`).
    """

    def __init__(self, column: str = "answer") -> None:
        self._column = column
        self.identity = {"scorer": "final_number", "column": column}

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Returns 1.0 or 0.0 for each response."""
        return [[right(text, self._answer(group)) for text in group.responses] for group in groups]

    def _answer(self, group: Group) -> Any:
        if self._column not in group.row:
            raise BadInput(f"{group.where}: no column {self._column!r} with the answer; name it as final_number:COLUMN")
        return group.row[self._column]


def right(text: str, answer: Any) -> float:
    """Returns 1.0 if the last number in `text` is that of `answer`, else 0.0.

    Raises:
        BadInput: The answer has no number in it.
    """
    found, expected = final_number(text), final_number(str(answer))
    if expected is None:
        raise BadInput(f"the answer {answer!r} has no number in it")
    return float(found is not None and math.isclose(found, expected, rel_tol=_CLOSE, abs_tol=_CLOSE))


def final_number(text: str) -> float | None:
    """Returns the last number in `text`; None if there is none."""
    # The hyphen of "3-4" is no sign.
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    last = found[-1][0].replace(",", "")
    before = text[: found[-1].start()]
    return float(last.lstrip("-") if before and (before[-1].isalnum() or before[-1] == ")") else last)
