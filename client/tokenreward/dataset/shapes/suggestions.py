"""What is said of rows whose columns are none that are known: which of them may be meant, and how to say so."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import Any

from tokenreward.errors import BadInput

_HAVE = "rows have `prompt` and `response` (or `completion`), or `prompt`, `chosen` and `rejected`"
_PROMPT_WORDS = ("question", "instruction", "query", "problem", "context", "history", "post", "title", "input", "task")
_ANSWER_WORDS = ("answer", "solution", "output", "target", "reply", "label", "text", "summary")
_NUMBERED = re.compile(r"(.*?)_?([0-9ABabjk])$")


def check_steps(row: Mapping[str, Any], where: str) -> None:
    """Refuse TRL's stepwise supervision, whose `completions` are the steps of one response.

    Raises:
        BadInput: The row is of that kind.
    """
    labels = row.get("labels")
    if isinstance(labels, list) and labels and all(isinstance(label, bool) for label in labels):
        raise BadInput(
            f"{where}: `completions` with `labels` are the steps of one response; join them into a column `response`, "
            "and label it with --pool step"
        )


def no_shape(row: Collection[str], missing: str, where: str) -> BadInput:
    """Return the error for a row without a response, which says what may be meant.

    Args:
        row: The names of its columns.
        missing: The column that is not there.
        where: How a person finds the row.
    """
    found = ", ".join(map(repr, row)) or "none"
    return BadInput(f"{where}: no column {missing!r} among {found}; {_HAVE}{_way_out(list(row), missing)}")


def nearest(name: str, known: Collection[str]) -> str:
    """Return ` (did you mean X?)` for the known name that is most like `name`, or nothing."""
    close = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _way_out(columns: Sequence[str], missing: str) -> str:
    if two := _two_responses(columns):
        return (
            f". {two[0]!r} and {two[1]!r} are two responses, and no column says which is chosen: if the first always "
            f"is, --columns chosen={two[0]},rejected={two[1]}; else write `chosen` and `rejected` into the file"
        )
    if missing != "response":
        close = difflib.get_close_matches(missing, columns, 1)
        return f". Name it: --columns {missing}={close[0] if close else 'COLUMN'}"
    prompt = _like("prompt", columns, _PROMPT_WORDS)
    response = _like("response", columns, _ANSWER_WORDS)
    named = [f"prompt={prompt}"] if prompt is not None and prompt != "prompt" else []
    named.append(f"response={response or 'COLUMN'}")
    return f". Name them: --columns {','.join(named)}"


def _two_responses(columns: Sequence[str]) -> tuple[str, str] | None:
    for first, second in combinations(columns, 2):
        one, two = _NUMBERED.fullmatch(first), _NUMBERED.fullmatch(second)
        if one and two and one[1] and one[1] == two[1]:
            return (first, second) if one[2] < two[2] else (second, first)
    return None


def _like(name: str, columns: Sequence[str], words: Sequence[str]) -> str | None:
    close = difflib.get_close_matches(name, columns, 1)
    return close[0] if close else next((column for word in words for column in columns if word in column.lower()), None)
