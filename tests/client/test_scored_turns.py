"""Rows of which every assistant's turn is scored: where scoring begins, and what a bad row is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.stack import Stack
from tests.support.rows import read, write
from tokenreward.commands import label
from tokenreward.dataset import label_dataset
from tokenreward.dataset.row_layout import layout_of
from tokenreward.errors import BadInput
from tokenreward.schema import Item
from tokenreward.show.labeled_response import labeled_responses
from tokenreward.show.rows import shown_rows


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "s"}


def turns(row: dict[str, Any]) -> list[tuple[Any, list[str]]]:
    """Prompt and texts of the scored messages, of each side."""
    found = []
    for response in layout_of(row, "row 0", "all").responses(row, "row 0"):
        item = response.item()
        assert Item(**item).score == "all"
        prompt = item["prompt"] if isinstance(item["prompt"], str) else [m["content"] for m in item["prompt"]]
        found.append((prompt, [m["content"] for m in item["response"]]))
    return found


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [SYSTEM, user("a"), bot("b"), user("c"), bot("d")]}, [(["s", "a"], ["b", "c", "d"])]),
        ({"prompt": [user("a"), bot("b"), user("c")], "response": [bot("d"), user("e"), bot("f")]},
         [(["a", "b", "c"], ["d", "e", "f"])]),
        ({"prompt": [user("a"), bot("b"), user("c")], "messages": [user("a"), bot("b"), user("c"), bot("d")]},
         [(["a", "b", "c"], ["d"])]),
        ({"prompt": [user("a"), bot("b"), user("c")], "response": "d"}, [(["a", "b", "c"], ["d"])]),
        ({"prompt": "a", "messages": [SYSTEM, user("a"), bot("b"), user("c"), bot("d")]},
         [(["s", "a"], ["b", "c", "d"])]),
        ({"prompt": "a", "chosen": [bot("b"), user("c"), bot("d")], "rejected": [bot("e")]},
         [("a", ["b", "c", "d"]), ("a", ["e"])]),
        # What both sides share is a prompt, up to the last turn before which they are the same.
        ({"chosen": [user("a"), bot("b"), user("c"), bot("d"), user("e"), bot("f")],
          "rejected": [user("a"), bot("b"), user("c"), bot("g")]}, [(["a", "b", "c"], ["d", "e", "f"]),
                                                                     (["a", "b", "c"], ["g"])]),
        ({"chosen": [user("a"), bot("b"), user("c"), bot("d")], "rejected": [user("a"), bot("b"), user("x"), bot("d")]},
         [(["a"], ["b", "c", "d"]), (["a"], ["b", "x", "d"])]),
        ({"chosen": [user("a"), bot("b")], "rejected": [user("a"), bot("b"), user("c"), bot("d")]},
         [(["a"], ["b"]), (["a"], ["b", "c", "d"])]),
        ({"chosen": [user("a"), bot("b")], "rejected": [user("a"), bot("b")]}, [(["a"], ["b"])] * 2),
        ({"prompt": "p", "chosen": "c", "rejected": "r"}, [("p", ["c"]), ("p", ["r"])]),
    ],
)  # fmt: skip
def test_scoring_begins_behind_the_prompt_or_where_the_sides_differ(
    row: dict[str, Any], expected: list[tuple[Any, list[str]]]
) -> None:
    assert turns(row) == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [user("a"), bot("b"), user("c")]}, "column 'messages': the last message is from 'user'"),
        ({"messages": [bot("b"), user("c"), bot("d")]}, "column 'messages': begins with an assistant's message"),
        ({"messages": [user("a"), bot("b"), user("c"), bot("")]}, "column 'messages': empty"),
        ({"chosen": [user("a"), bot("b")], "rejected": [user("x"), bot("b")]}, "differ before the assistant's first"),
        ({"prompt": [user("a")], "messages": [user("x"), bot("b")]}, "do not begin with those of `prompt`"),
        ({"prompt": [user("a")], "messages": [user("a"), user("c"), bot("b")]}, "does not begin with an assistant's"),
        ({"prompt": "a", "messages": [user("x"), bot("b")]}, "the message before the assistant's first turn"),
        ({"prompt": "a", "chosen": [user("a"), bot("b")], "rejected": [SYSTEM, user("a"), bot("b")]}, "differ before"),
        ({"messages": [user("a"), bot("b")], "token_ids": [1]}, "column 'token_ids': token ids do not say which turn"),
    ],
)
def test_a_row_whose_turns_cannot_be_told_is_refused_by_its_column(row: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        turns(row)


def test_without_the_option_a_pair_of_several_turns_is_told_of_it() -> None:
    row = {"chosen": [user("a"), bot("b"), user("c"), bot("d")], "rejected": [user("a"), bot("x"), user("c"), bot("d")]}
    with pytest.raises(BadInput, match="`--score all`"):
        layout_of(row, "row 0").responses(row, "row 0")


PAIR = {
    "chosen": [user("2+2?"), bot("It is 4."), user("Sure?"), bot("Yes.")],
    "rejected": [user("2+2?"), bot("It is 5.")],
}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_labeled_file_has_the_turn_of_each_token_beside_its_reward(
    tmp_path: Path, synthetic: Stack, suffix: str
) -> None:
    pairs, out = write(tmp_path / f"pairs{suffix}", PAIR), tmp_path / f"out{suffix}"
    arguments = [str(pairs), "--out", str(out), "--score", "all", "--tokens", "--quiet", "--url", synthetic.url]
    assert label.main(arguments) == 0
    (row,) = read(out)
    assert {*row["chosen_token_turns"]} == {-1, 0, 1}
    assert {*row["rejected_token_turns"]} == {0}
    for side in ("chosen", "rejected"):
        rewards, whose = row[f"{side}_token_rewards"], row[f"{side}_token_turns"]
        assert len(rewards) == len(whose) == len(row[f"{side}_token_ids"])
        assert not any(reward for reward, turn in zip(rewards, whose, strict=True) if turn < 0)
    assert label.main(arguments) == 0  # it is there already
    with pytest.raises(BadInput, match="labeled otherwise"):
        label_dataset(pairs, out, url=synthetic.url, score="all", tokens=False)
    chosen, rejected = labeled_responses(row, "row 0")
    assert (chosen.response.text, rejected.response.text) == ("It is 4.\n\nYes.", "It is 5.")


def test_a_plain_file_has_no_column_of_turns(tmp_path: Path, synthetic: Stack) -> None:
    out = tmp_path / "out.jsonl"
    label_dataset(write(tmp_path / "in.jsonl", {"prompt": "p", "response": "r"}), out, url=synthetic.url)
    (row,) = read(out)
    assert "token_turns" not in row


def test_a_labeled_conversation_is_shown_turn_by_turn(tmp_path: Path, synthetic: Stack) -> None:
    out = tmp_path / "out.jsonl"
    label_dataset(write(tmp_path / "in.jsonl", PAIR), out, url=synthetic.url, score="all", tokens=True)
    (shown,) = shown_rows(out, 0, 1, lambda items: [])
    text = "".join(cell.text for cell in shown.responses[0].cells)
    assert text.startswith("It is 4.")
    assert "Yes." in text
