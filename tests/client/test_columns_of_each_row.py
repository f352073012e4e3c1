"""Columns that a file's first row lacks are read in the rows that have them, and advice names the columns there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import write
from tokenreward import BadInput, label_dataset
from tokenreward.dataset.row_items import RowItems
from tokenreward.dataset.row_layout import layout_of

HH = "\n\nHuman: Hi\n\nAssistant:"


def prompts(*rows: dict[str, Any]) -> list[Any]:
    layout = layout_of(rows[0], "row 0")
    return [layout.responses(row, f"row {number}")[0].prompt for number, row in enumerate(rows)]


def test_an_input_that_only_a_later_row_has_follows_its_instruction() -> None:
    first, later = {"instruction": "p", "output": "r"}, {"instruction": "p", "input": "x", "output": "r"}
    assert prompts(first | {"input": None}, first, later) == ["p", "p", "p\n\nx"]


@pytest.mark.parametrize("column", ["system", "system_prompt"])
def test_a_system_message_that_only_a_later_row_has_stands_before_its_prompt(column: str) -> None:
    row = {"prompt": "p", "response": "r"}
    said = [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]
    assert prompts(row, row | {column: "s"}, row | {"system": None, column: "s"}) == ["p", said, said]


def test_a_system_message_that_is_no_text_is_an_error_of_its_row() -> None:
    with pytest.raises(BadInput, match="row 1, column 'system': int where text is expected"):
        prompts({"prompt": "p", "response": "r"}, {"prompt": "p", "response": "r", "system": 3})


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_column_that_may_be_the_prompt_is_never_guessed_away(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"in{suffix}", {"context": "Which?", "chosen": "Yes.\n\nc", "rejected": "Yes.\n\nr"})
    with pytest.raises(BadInput, match="the column 'context' may be the prompt; say so with --columns prompt=context"):
        label_dataset(path, tmp_path / "out.jsonl")


def test_the_advice_to_leave_a_column_out_names_the_column_with_the_prompt() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    row = {"question": "a tag", "chosen": turns, "rejected": turns}
    with pytest.raises(BadInput, match="is not `question`; `--columns question=` leaves that column out"):
        prompts(row)


def test_spans_count_characters_of_the_row_where_blanks_of_a_transcript_are_left_out() -> None:
    row = {"prompt": HH, "response": "  It is 5. ", "spans": [[0, 1], [0, 4], [8, 9], [9, 11]]}
    (item,) = RowItems(layout_of(row, "row 0"), spans=True).of(row, "row 0")
    assert (item["response"], item["spans"]) == ("It is 5.", [[0, 2], [6, 7], [7, 8]])
    outside = row | {"spans": [[0, 12]]}
    assert RowItems(layout_of(row, "row 0"), spans=True).of(outside, "row 0")[0]["spans"] == [[0, 12]]
