"""Context fields of a row's responses: out of a column, out of the pair, or out of the ranked siblings.

A source is a column's name or one of:

    @best      the best other response of the row's `responses` (what `tokenreward rank` keeps), if any other is worse
    @worst     the other responses that score below it, the worst first
    @chosen    the row's chosen response, for its rejected one
    @rejected  the row's rejected response, for its chosen one
    @outcome   `right` for a chosen response, `wrong` for a rejected one

The response that is scored is never among its own hints, nor is an exact duplicate of it: a model that is shown the
very response copies it. A field without a value is left out, and the template says whether that is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenreward.dataset.row_layout import Response
from tokenreward.dataset.shapes.lists import Part
from tokenreward.errors import BadInput

#: `@worst` gives at most so many; an estimator's parameter `k` says how many of them are scored.
_MOST_SIBLINGS = 16


def check_sources(sources: Mapping[str, str], columns: Mapping[str, Any], where: str) -> None:
    """Check sources against a file's first row.

    Args:
        sources: The source of each field.
        columns: The first row.
        where: How a person finds it.

    Raises:
        BadInput: A source is unknown, or no column of that name is there.
    """
    for name, source in sources.items():
        if source.startswith("@") and source not in _COLUMNS:
            known = ", ".join(_COLUMNS)
            raise BadInput(f"context field {name!r}: unknown source {source!r}; known: {known}, or a column's name")
        column = _COLUMNS.get(source, source)
        if column not in columns:
            raise BadInput(f"{where}: no column {column!r}, which the context field {name!r} comes from")


def columns_of(sources: Mapping[str, str]) -> tuple[str, ...]:
    """Return the columns that these sources read."""
    return tuple(dict.fromkeys(_COLUMNS.get(source, source) for source in sources.values()))


def context_of(
    row: Mapping[str, Any],
    response: Response,
    sources: Mapping[str, str],
    where: str,
    responses: Sequence[Response] = (),
) -> dict[str, Any]:
    """Return the context fields of one response.

    Args:
        row: Its row.
        response: The response.
        sources: The source of each field.
        where: How a person finds the row.
        responses: All responses of the row, for the other side of a pair.

    Raises:
        BadInput: A column does not hold text, a list of texts or messages, or `responses` is not what `rank` keeps.
    """
    found = {}
    for name, source in sources.items():
        make, side = _FROM_RESPONSES.get(source), _SIDES.get(source)
        if side is not None:
            value = _other_side(side, response, responses, where)
        else:
            value = make(row, response, where) if make else field_value(row, source, where)
        if value:
            found[name] = value
    return found


def field_value(row: Mapping[str, Any], column: str, where: str) -> Any:
    """Return a column's value as a context field: text, a list of texts or messages; None if it is not there.

    Args:
        row: Its row.
        column: Its name.
        where: How a person finds the row.

    Raises:
        BadInput: It holds something else.
    """
    value = row.get(column)
    texts = isinstance(value, list) and all(isinstance(part, str) for part in value)
    messages = isinstance(value, list) and all(isinstance(part, Mapping) and "role" in part for part in value)
    if value is None or isinstance(value, str) or texts:
        return value
    if messages:
        return [{key: part[key] for key in part if part[key] is not None} for part in value]
    raise BadInput(f"{where}, column {column!r}: a context field is text, a list of texts or messages")


def _siblings(row: Mapping[str, Any], response: Response, where: str) -> list[tuple[float, str]]:
    """Score and text of the row's other responses, each text once, the best first."""
    found: dict[str, float] = {}
    ranked = (row.whole if isinstance(row, Part) else row).get("responses")
    if not isinstance(ranked, list):
        raise BadInput(f"{where}, column 'responses': missing; `tokenreward rank` keeps every response there")
    for other in ranked:
        if not isinstance(other, Mapping) or not isinstance(other.get("text"), str):
            raise BadInput(f"{where}, column 'responses': each response is a struct with `text` and `score`")
        text, score = other["text"], other.get("score")
        if isinstance(score, int | float) and text.strip() and text.strip() != response.text.strip():
            found[text] = max(float(score), found.get(text, float(score)))
    return sorted(((score, text) for text, score in found.items()), key=lambda pair: -pair[0])


def _best(row: Mapping[str, Any], response: Response, where: str) -> str | None:
    others = _siblings(row, response, where)
    # Where all others are equally good, none of them is right and another wrong.
    return others[0][1] if others and others[-1][0] < others[0][0] else None


def _worst(row: Mapping[str, Any], response: Response, where: str) -> list[str]:
    others = _siblings(row, response, where)
    worse = [text for score, text in others if score < others[0][0]]
    return worse[::-1][:_MOST_SIBLINGS]


def _other_side(side: str, response: Response, responses: Sequence[Response], where: str) -> str | None:
    """The text of the pair's other response, without the prompt that both begin with."""
    other = next((one for one in responses if one.side == side), None)
    if other is None:
        raise BadInput(f"{where}: `@{side}` needs `chosen` and `rejected` columns")
    return None if response.side == side or other.text.strip() == response.text.strip() else other.text


def _outcome(row: Mapping[str, Any], response: Response, where: str) -> str:
    if response.side not in ("chosen", "rejected"):
        raise BadInput(f"{where}: `@outcome` needs `chosen` and `rejected`; name a column with right or wrong instead")
    return "right" if response.side == "chosen" else "wrong"


_FROM_RESPONSES: Mapping[str, Callable[[Mapping[str, Any], Response, str], Any]] = {
    "@best": _best,
    "@worst": _worst,
    "@outcome": _outcome,
}
#: Sources that are one side of a pair.
_SIDES = {"@chosen": "chosen", "@rejected": "rejected"}
#: The column that a source reads.
_COLUMNS = {
    "@best": "responses",
    "@worst": "responses",
    "@chosen": "chosen",
    "@rejected": "rejected",
    "@outcome": "chosen",
}
