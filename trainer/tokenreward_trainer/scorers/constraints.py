"""Instructions that a program can check: the share of a prompt's constraints that a response keeps.

A constraint is `{"name": ..., ...}`; `CONSTRAINTS` maps names to checks. All kept is 1. A thought is no part of what is
checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenreward.errors import BadInput, UnknownName
from tokenreward_trainer.scorers.base import Group
from tokenreward_trainer.scorers.final_answer import answer_of

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_SENTENCE_END = re.compile(r"[.!?]+(?=[\s\"'”’)]|$)")


class Constraints:
    """Scores by the constraints in a column of the prompt.

    Args:
        column: The column with the list of constraints.
    """

    def __init__(self, column: str = "constraints") -> None:
        self._column = column
        self.identity = {"scorer": "constraints", "column": column, "version": 2}

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Returns the share of its prompt's constraints that each response keeps."""
        scores: list[list[float | None]] = []
        for group in groups:
            if not group.row.get(self._column):
                raise BadInput(f"{group.where}: no column {self._column!r} with the constraints to check")
            try:
                scores.append([kept(text, group.row[self._column]) for text in group.responses])
            except BadInput as error:
                raise BadInput(f"{group.where}: {error}") from None
        return scores


def kept(text: str, constraints: Sequence[Mapping[str, Any]]) -> float:
    """Returns the share of `constraints` that the answer in `text` keeps, in [0, 1]; an empty answer keeps none.

    Raises:
        BadInput: They are no list of constraints, or one of them is unknown or has wrong options.
    """
    if (
        not constraints
        or not isinstance(constraints, list | tuple)
        or not all(isinstance(c, dict) for c in constraints)
    ):
        raise BadInput(f"constraints are a list of {{'name': ...}} with at least one, not {constraints!r}")
    return sum(keeps(text, constraint) for constraint in constraints) / len(constraints)


def keeps(text: str, constraint: Mapping[str, Any]) -> bool:
    """Returns whether the answer in `text`, without its thought, keeps one constraint.

    Raises:
        BadInput: The constraint is unknown, or its options are wrong.
    """
    # Columnar files give every constraint the options of all, with nulls.
    options = {option: value for option, value in constraint.items() if value is not None}
    name = options.pop("name", None)
    if name not in CONSTRAINTS:
        raise UnknownName("constraint", str(name), list(CONSTRAINTS))
    answer = answer_of(text)
    try:
        return bool(answer.strip()) and CONSTRAINTS[name](answer, **options)
    except (TypeError, AttributeError) as error:
        raise BadInput(f"the constraint {dict(constraint)!r} has wrong options: {error}") from None


def _lowercase(text: str) -> bool:
    return text == text.lower()


def _uppercase(text: str) -> bool:
    return text == text.upper()


def _words(text: str, **limits: int) -> bool:
    return _within(len(_WORD.findall(text)), **limits)


def _sentences(text: str, **limits: int) -> bool:
    stripped = text.strip()
    ends = [found.end() for found in _SENTENCE_END.finditer(stripped)]
    open_end = bool(_WORD.search(stripped, ends[-1] if ends else 0))
    return _within(len(ends) + open_end, **limits)


def _forbidden(text: str, characters: str) -> bool:
    """A forbidden letter is forbidden in both cases."""
    return not set(characters.lower()) & set(text.lower())


def _contains(text: str, word: str) -> bool:
    """`word`, whole and in any case, at least once."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def _within(count: int, exactly: int | None = None, least: int | None = None, most: int | None = None) -> bool:
    if exactly is least is most is None:
        raise TypeError("one of exactly, least and most is needed")
    low, high = (exactly, exactly) if exactly is not None else (least, most)
    return (low is None or count >= low) and (high is None or count <= high)


CONSTRAINTS: dict[str, Callable[..., bool]] = {
    "lowercase": _lowercase,
    "uppercase": _uppercase,
    "words": _words,
    "sentences": _sentences,
    "forbidden": _forbidden,
    "contains": _contains,
}
