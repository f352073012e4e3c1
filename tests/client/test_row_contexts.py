"""Context fields out of rows: columns, the other side of a pair, and ranked siblings without the scored response."""

from __future__ import annotations

from typing import Any

import pytest

from tokenreward.dataset.row_contexts import check_sources, context_of
from tokenreward.dataset.row_layout import Response
from tokenreward.errors import BadInput

SIBLINGS = {"right": "@best", "wrong": "@worst"}


def response(text: str, side: str = "response") -> Response:
    return Response(side, "Q", text)


def ranked(*scored: tuple[str, float | None]) -> dict[str, Any]:
    return {"responses": [{"text": text, "score": score} for text, score in scored]}


def test_the_scored_response_and_its_duplicates_are_never_among_the_hints() -> None:
    row = ranked(("good", 1), ("good ", 1), ("fine", 1), ("bad", 0), ("worse", -1))
    assert context_of(row, response("good"), SIBLINGS, "row 0") == {"right": "fine", "wrong": ["worse", "bad"]}
    assert context_of(row, response("worse"), SIBLINGS, "row 0") == {"right": "good", "wrong": ["bad"]}


def test_others_that_are_all_equal_are_neither_right_nor_wrong() -> None:
    row = ranked(("good", 1), ("bad", 0), ("poor", 0))
    assert context_of(row, response("good"), SIBLINGS, "row 0") == {}
    assert context_of(ranked(("good", 1)), response("good"), SIBLINGS, "row 0") == {}


def test_a_sibling_without_a_score_is_no_hint() -> None:
    row = ranked(("good", 1), ("odd", None), ("bad", 0))
    assert context_of(row, response("x"), SIBLINGS, "row 0") == {"right": "good", "wrong": ["bad"]}


def test_the_other_side_of_a_pair_and_the_outcome() -> None:
    row = {"chosen": [{"role": "assistant", "content": "A"}], "rejected": "B"}
    sources = {"right": "@chosen", "outcome": "@outcome"}
    sides = [response("A", "chosen"), response("B", "rejected")]
    assert context_of(row, sides[1], sources, "row 0", sides) == {"right": "A", "outcome": "wrong"}
    assert context_of(row, sides[0], sources, "row 0", sides) == {"outcome": "right"}


@pytest.mark.parametrize("value", ["text", ["one", "two"], [{"role": "user", "content": "hi"}]])
def test_a_column_may_hold_text_texts_or_messages(value: Any) -> None:
    assert context_of({"solution": value}, response("x"), {"reference": "solution"}, "row 0") == {"reference": value}


@pytest.mark.parametrize("value", [None, "", []])
def test_a_field_without_a_value_is_left_out(value: Any) -> None:
    assert context_of({"solution": value}, response("x"), {"reference": "solution"}, "row 0") == {}


def test_what_cannot_be_a_context_names_row_and_column() -> None:
    with pytest.raises(BadInput, match="row 3, column 'solution'"):
        context_of({"solution": 7}, response("x"), {"reference": "solution"}, "row 3")
    with pytest.raises(BadInput, match="row 3, column 'responses'"):
        context_of({"responses": ["a"]}, response("x"), SIBLINGS, "row 3")


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"right": "@bets"}, "unknown source '@bets'"),
        ({"right": "solution"}, "no column 'solution'"),
        ({"right": "@best"}, "no column 'responses'"),
    ],
)
def test_sources_are_checked_against_the_first_row(sources: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_sources(sources, {"prompt": "Q", "response": "A"}, "row 0")
