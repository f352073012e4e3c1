"""Right or wrong by the last number of a response: 1 if it is the answer, else 0."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from tokenreward.errors import BadInput
from tokenreward_trainer.scorers.base import Group
from tokenreward_trainer.scorers.final_answer import answer_of
from tokenreward_trainer.scorers.numbers import last_number

#: How far a number may be off, relative to the answer. For a whole answer it is no more than this.
_CLOSE = Fraction(1, 1_000_000)


class FinalNumber:
    """Scores by the answer in a column of the prompt.

    Args:
        column: The column with a number, or with a text whose last number is the answer (as in GSM8K's `#### 72`).
    """

    def __init__(self, column: str = "answer") -> None:
        self._column = column
        self.identity = {"scorer": "final_number", "column": column, "version": 2}

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Returns 1.0 or 0.0 for each response."""
        scores: list[list[float | None]] = []
        for group in groups:
            if self._column not in group.row:
                raise BadInput(
                    f"{group.where}: no column {self._column!r} with the answer; name it as final_number:COLUMN"
                )
            try:
                scores.append([right(text, group.row[self._column]) for text in group.responses])
            except BadInput as error:
                raise BadInput(f"{group.where}: {error}") from None
        return scores


def right(text: str, answer: Any) -> float:
    """Returns 1.0 if the last number behind the thought of `text` is that of `answer`, else 0.0.

    Whole numbers are compared exactly, other numbers to a millionth of the answer.

    Raises:
        BadInput: The answer has no number in it.
    """
    found, expected = _exact(text), _exact(str(answer))
    if expected is None:
        raise BadInput(f"the answer {answer!r} has no number in it")
    if found is None:
        return 0.0
    size = abs(expected)
    return float(abs(found - expected) <= _CLOSE * (1 if size > 1 and size.denominator == 1 else size))


def final_number(text: str) -> int | float | None:
    """Returns the last number behind the thought of `text`, whole numbers exactly; None if there is none."""
    found = _exact(text)
    if found is None:
        return None
    return found.numerator if found.denominator == 1 else float(found)


def _exact(text: str) -> Fraction | None:
    return last_number(answer_of(text))
