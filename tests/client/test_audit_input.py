"""What an audit reads: both kinds of files, and what it says of a file that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenreward.audit.set_files import load
from tokenreward.audit.sets import PairItem, PairSet, SpanItem, SpanSet, thinned
from tokenreward.errors import BadInput

GOOD = {"prompt": "What is 2+2?", "response": "It is 5.", "bad_spans": [[6, 7]]}


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def test_a_file_with_bad_spans_is_a_set_of_responses(tmp_path: Path) -> None:
    row = {"id": "b", "prompt": "p", "response": "abc", "bad_spans": [], "note": 1}
    found = load(written(tmp_path / "mine.jsonl", GOOD | {"ignore_spans": [[0, 2]]}, "", row))
    assert found == SpanSet(
        "mine",
        (
            SpanItem("0", "What is 2+2?", "It is 5.", ((6, 7),), ((0, 2),)),
            SpanItem("b", "p", "abc", ()),
        ),
    )


def test_a_row_may_name_the_task_that_it_is_of(tmp_path: Path) -> None:
    found = load(written(tmp_path / "mine.jsonl", GOOD | {"task": "sums"}, GOOD | {"task": None}, GOOD))
    assert isinstance(found, SpanSet)
    assert [item.task for item in found.items] == ["sums", "", ""]
    pair = {"prompt": "p", "chosen": "c", "rejected": "r"}
    assert load(written(tmp_path / "s.jsonl", pair | {"task": "sums"})) == load(written(tmp_path / "s.jsonl", pair))


def test_prompts_may_be_messages(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "p"}]
    found = load(written(tmp_path / "mine.jsonl", GOOD | {"prompt": messages}))
    assert found.items[0].prompt == messages


def test_spans_count_characters_of_the_row_behind_a_transcript_too(tmp_path: Path) -> None:
    row = {"prompt": "\n\nHuman: 2+2?\n\nAssistant:", "response": " It is 5. ", "bad_spans": [[7, 8], [0, 1]]}
    (item,) = load(written(tmp_path / "mine.jsonl", row | {"ignore_spans": [[0, 3]], "spans": [[0, 10]]})).items
    assert item == SpanItem(
        "0", [{"role": "user", "content": "2+2?"}], "It is 5.", ((6, 7),), ((0, 2),), spans=((0, 8),)
    )
    with pytest.raises(BadInput, match="ends beyond the response, which has 10 characters"):
        load(written(tmp_path / "mine.jsonl", row | {"bad_spans": [[7, 11]]}))


def test_a_file_with_chosen_and_rejected_is_a_set_of_pairs(tmp_path: Path) -> None:
    found = load(written(tmp_path / "pairs.jsonl", {"prompt": "p", "chosen": "c", "rejected": "r"}))
    assert found == PairSet("pairs", (PairItem("0", "p", "c", "r"),))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (GOOD | {"bad_spans": [[6, 9]]}, ["line 2, field 'bad_spans[0]'", "[6, 9]", "8 characters", "not bytes"]),
        (
            GOOD | {"bad_spans": [[0, 1], [7, 6]]},
            ["line 2, field 'bad_spans[1]'", "[7, 6] is empty", "above the start"],
        ),
        (GOOD | {"bad_spans": [[3, 3]]}, ["line 2, field 'bad_spans[0]'", "is empty"]),
        (GOOD | {"bad_spans": [[-1, 3]]}, ["line 2, field 'bad_spans[0]'", "starts below 0"]),
        (GOOD | {"bad_spans": [[0.5, 3]]}, ["line 2, field 'bad_spans[0]'", "0.5 is not a whole number"]),
        (GOOD | {"bad_spans": [["0", 3]]}, ["line 2, field 'bad_spans[0]'", "'0' is not a whole number"]),
        (GOOD | {"bad_spans": [[True, 3]]}, ["line 2, field 'bad_spans[0]'", "True is not a whole number"]),
        (GOOD | {"bad_spans": [[1, 2, 3]]}, ["line 2, field 'bad_spans[0]'", "is not a pair"]),
        (GOOD | {"bad_spans": [3]}, ["line 2, field 'bad_spans[0]'", "is not a pair"]),
        (GOOD | {"bad_spans": "0-3"}, ["line 2, field 'bad_spans'", "is not a list"]),
        (GOOD | {"bad_spans": None}, ["line 2, field 'bad_spans'", "is not a list"]),
        ({"prompt": "p", "response": "r"}, ["line 2, field 'bad_spans'", "missing", "give []"]),
        (GOOD | {"ignore_spans": [[0, 99]]}, ["line 2, field 'ignore_spans[0]'", "beyond the response"]),
        (GOOD | {"task": 5}, ["line 2, field 'task'", "5 is not a text"]),
        (GOOD | {"task": ["sums"]}, ["line 2, field 'task'", "['sums'] is not a text"]),
        (GOOD | {"task": False}, ["line 2, field 'task'", "False is not a text"]),
        (GOOD | {"response": ""}, ["line 2, column 'response'", "empty"]),
        ({"response": "r", "bad_spans": []}, ["line 2, column 'prompt'", "missing"]),
        (GOOD | {"response": 5}, ["line 2, column 'response'"]),
        ("{not json", ["line 2", "not JSON"]),
        ("[1]", ["line 2", "not a JSON object"]),
    ],
)
def test_a_wrong_row_is_named_by_file_line_and_field(tmp_path: Path, row: Any, says: list[str]) -> None:
    path = written(tmp_path / "mine.jsonl", GOOD, row)
    with pytest.raises(BadInput) as error:
        load(path)
    for part in (str(path), *says):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "there are no rows"),
        (["", ""], "there are no rows"),
        ([{"prompt": "p", "response": "r"}], "`bad_spans`"),
        ([{"prompt": "p", "chosen": "c"}], "`rejected`"),
        ([{"prompt": "p", "chosen": "c", "rejected": "r", "bad_spans": []}], "one kind"),
        ([{"prompt": "p", "chosen": "c", "rejected": ""}], "column 'rejected'"),
    ],
)
def test_a_file_that_is_of_no_kind_says_what_an_audit_reads(tmp_path: Path, rows: list[Any], says: str) -> None:
    path = written(tmp_path / "mine.jsonl", *rows)
    with pytest.raises(BadInput) as error:
        load(path)
    assert str(path) in str(error.value)
    assert says in str(error.value)


def test_a_missing_file_and_another_format_are_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        load(tmp_path / "none.jsonl")
    (tmp_path / "a.csv").write_text("a,b")
    with pytest.raises(BadInput, match=r"\.jsonl"):
        load(tmp_path / "a.csv")


def test_offsets_count_characters_not_bytes(tmp_path: Path) -> None:
    text = "a\U0001f642b"
    found = load(written(tmp_path / "mine.jsonl", GOOD | {"response": text, "bad_spans": [[2, 3]]}))
    assert isinstance(found, SpanSet)
    (start, end), *_ = found.items[0].bad
    assert text[start:end] == "b"
    with pytest.raises(BadInput, match="3 characters"):
        load(written(tmp_path / "utf16.jsonl", GOOD | {"response": text, "bad_spans": [[3, 4]]}))


def test_a_limit_spreads_over_the_set() -> None:
    items = tuple(PairItem(str(n), "p", "c", "r") for n in range(10))
    assert [item.id for item in thinned(PairSet("s", items), 3).items] == ["0", "3", "6"]
    assert thinned(PairSet("s", items), 20).items == items
