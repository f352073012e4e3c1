"""Which columns of a file hold the prompt, the system message and the responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenreward.dataset.shapes.lists import holds_responses
from tokenreward.dataset.shapes.names import ALPACA, CONVERSATIONS, INPUT, LISTS, PROMPTS, SCORES, SINGLE, SYSTEMS
from tokenreward.dataset.shapes.suggestions import check_steps, no_shape


@dataclass(frozen=True)
class Shape:
    """The columns of a file's rows.

    Attributes:
        sides: The columns with responses: one, or `chosen` and `rejected`.
        listed: Whether the one column holds a list of responses.
        prompt: The column with the prompt, or None if the responses imply it.
        follows: Columns whose text follows the prompt's, as in Alpaca. A row may leave them out.
        beside: Those of `follows` and of the columns with a system message that the row has.
    """

    sides: tuple[str, ...]
    listed: bool = False
    prompt: str | None = None
    follows: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read for prompt and responses."""
        asked = () if self.prompt is None else (self.prompt,)
        return (*asked, *self.follows, *SYSTEMS, *self.sides, *(SCORES if self.listed else ()))


def shape_of(row: Mapping[str, Any], where: str) -> Shape:
    """Return the shape that a file's first row shows.

    Args:
        row: The row.
        where: How a person finds it.

    Raises:
        BadInput: No column is known to hold a response, or half of a pair is missing.
    """
    sides, listed = _sides(row, where)
    prompt = _prompt(row, sides)
    follows = (INPUT,) if prompt == "instruction" else ()
    return Shape(
        sides, listed, prompt, follows, tuple(name for name in (*follows, *SYSTEMS) if row.get(name) is not None)
    )


def _sides(row: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], bool]:
    if "chosen" in row or "rejected" in row:
        missing = next((side for side in ("chosen", "rejected") if side not in row), None)
        if missing is not None:
            raise no_shape(row, missing, where)
        return ("chosen", "rejected"), False
    # A list is looked for before conversations: a row may have both, and its conversation is then the prompt.
    single = next((name for name in SINGLE if name in row), None)
    listed = next((name for name in LISTS if holds_responses(row, name)), None)
    if listed is not None and (single is None or single in CONVERSATIONS):
        check_steps(row, where)
        return (listed,), True
    if single is not None:
        return (single,), False
    if "instruction" in row and ALPACA in row:
        return (ALPACA,), False
    raise no_shape(row, "response", where)


def _prompt(row: Mapping[str, Any], sides: tuple[str, ...]) -> str | None:
    named = next((name for name in PROMPTS if row.get(name) is not None), None)
    if named is not None or sides[0] in CONVERSATIONS:
        return named
    if len(sides) == 2 and not all(_is_one_message(row[side]) for side in sides):
        return None  # both sides begin with the prompt
    return next((name for name in CONVERSATIONS if row.get(name)), None)


def _is_one_message(value: object) -> bool:
    """Return whether a side is one message, which answers a conversation that stands elsewhere."""
    return isinstance(value, Mapping) or (isinstance(value, list) and len(value) == 1)
