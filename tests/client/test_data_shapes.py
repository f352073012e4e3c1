"""The table of shapes in docs/data.md: every row of it is read as it says, or refused with what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tokenreward.dataset.row_layout import layout_of
from tokenreward.dataset.shapes.lists import split
from tokenreward.errors import BadInput
from tokenreward.schema import Item

DOCS = Path(__file__).parents[2] / "docs" / "data.md"


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


HH = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Sing\n\nAssistant:"
SUNG = [user("Hi"), bot("Hello."), user("Sing")]

#: Shape in the table -> rows, each with the (prompt, response) of its responses.
SHAPES: dict[str, list[tuple[dict[str, Any], list[tuple[Any, str]]]]] = {
    "prompt and response": [
        ({"prompt": "p", "response": "r"}, [("p", "r")]),
        ({"prompt": "p", "completion": "r", "label": True}, [("p", "r")]),
        ({"prompt": [user("p")], "completion": [bot("r")]}, [([user("p")], "r")]),
    ],
    "TRL, standard": [({"prompt": "p", "chosen": "c", "rejected": "r"}, [("p", "c"), ("p", "r")])],
    "TRL, conversational": [
        (
            {"prompt": [user("p")], "chosen": [bot("c")], "rejected": [bot("r")]},
            [([user("p")], "c"), ([user("p")], "r")],
        ),
        ({"prompt": user("p"), "chosen": bot("c"), "rejected": bot("r")}, [([user("p")], "c"), ([user("p")], "r")]),
    ],
    "implied prompt, conversational": [
        (
            {"chosen": [user("p"), bot("Hm, c")], "rejected": [user("p"), bot("Hm, r")]},
            [([user("p")], "Hm, c"), ([user("p")], "Hm, r")],
        ),
    ],
    "implied prompt, text": [
        ({"chosen": "Q: 2+2?\nA: It is 4.", "rejected": "Q: 2+2?\nA: It is 5."},
         [("Q: 2+2?\nA:", "It is 4."), ("Q: 2+2?\nA:", "It is 5.")]),
        ({"chosen": "Q: 2+2? A: It is 4.", "rejected": "Q: 2+2? A: It is 5."},
         [("Q: 2+2? A:", "It is 4."), ("Q: 2+2? A:", "It is 5.")]),
        ({"chosen": "2+2?\n\nIt is 4.", "rejected": "2+2?\n\nIt is 5."}, [("2+2?", "It is 4."), ("2+2?", "It is 5.")]),
        ({"chosen": "2+2?\nIt is 4.", "rejected": "2+2?\nIt is 5."}, [("2+2?", "It is 4."), ("2+2?", "It is 5.")]),
    ],
    "Anthropic HH": [
        ({"chosen": f"{HH} La la", "rejected": f"{HH} La no."}, [(SUNG, "La la"), (SUNG, "La no.")]),
        ({"chosen": "\n\nHuman: Hi\n\nAssistant: Yes", "rejected": "\n\nHuman: Hi\n\nAssistant: Yes!"},
         [([user("Hi")], "Yes"), ([user("Hi")], "Yes!")]),
    ],
    "HH with a prompt": [
        ({"prompt": HH, "chosen": " La la", "rejected": " La no.", "response": " La la"},
         [(SUNG, "La la"), (SUNG, "La no.")]),
        ({"prompt": HH, "chosen": f"{HH} La la", "rejected": f"{HH} La no."}, [(SUNG, "La la"), (SUNG, "La no.")]),
        ({"prompt": HH, "response": "La"}, [(SUNG, "La")]),
    ],
    "UltraFeedback": [
        (
            {"source": "x", "instruction": "p", "models": ["a", "b"], "correct_answers": ["None"], "completions": [
                {"model": "a", "response": "r1", "overall_score": 4.0, "principle": "helpfulness", "annotations": {}},
                {"model": "b", "response": "r2", "overall_score": 8.5, "principle": "helpfulness", "annotations": {}}]},
            [("p", "r1"), ("p", "r2")],
        ),
    ],
    "UltraFeedback, binarized": [
        (
            {"prompt": "p", "prompt_id": "1", "chosen": [user("p"), bot("c")], "rejected": [user("p"), bot("r")],
             "messages": [user("p"), bot("c")], "score_chosen": 8.0, "score_rejected": 4.0},
            [([user("p")], "c"), ([user("p")], "r")],
        ),
    ],
    "Orca": [
        ({"system": "s", "question": "q", "chosen": "Yes, c", "rejected": "Yes, r"},
         [([system("s"), user("q")], "Yes, c"), ([system("s"), user("q")], "Yes, r")]),
        ({"system": "", "question": "q", "chosen": "c", "rejected": "r"}, [("q", "c"), ("q", "r")]),
        ({"id": "1", "system_prompt": "s", "question": "q", "response": "r"}, [([system("s"), user("q")], "r")]),
        ({"system": "s", "input": "q", "chosen": "c", "rejected": "r", "generations": ["c", "r"]},
         [([system("s"), user("q")], "c"), ([system("s"), user("q")], "r")]),
    ],
    "ShareGPT": [
        (
            {"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "p", "weight": None},
                               {"from": "gpt", "value": "r", "weight": 1}]},
            [([system("s"), user("p")], "r")],
        ),
    ],
    "ShareGPT pairs": [
        (
            {"conversations": [{"from": "human", "value": "p"}], "chosen": {"from": "gpt", "value": "c"},
             "rejected": {"from": "gpt", "value": "r"}},
            [([user("p")], "c"), ([user("p")], "r")],
        ),
    ],
    "HelpSteer": [
        ({"prompt": "p", "response": "r", "helpfulness": 3, "verbosity": 2}, [("p", "r")]),
        ({"prompt": "a\n<extra_id_1>Assistant\nb\n<extra_id_1>User\nc", "response": "r", "helpfulness": 3},
         [([user("a"), bot("b"), user("c")], "r")]),
    ],
    "Alpaca": [
        ({"instruction": "p", "input": "", "output": "r"}, [("p", "r")]),
        ({"instruction": "p", "input": "x", "output": "r", "text": "all"}, [("p\n\nx", "r")]),
    ],
    "system column": [
        ({"system": "s", "prompt": "p", "chosen": "c", "rejected": "r"},
         [([system("s"), user("p")], "c"), ([system("s"), user("p")], "r")]),
        ({"system": "s", "messages": [system("s"), user("p"), bot("r")]}, [([system("s"), user("p")], "r")]),
        ({"system": None, "prompt": [user("p")], "response": "r"}, [([user("p")], "r")]),
    ],
    "content in parts": [
        ({"prompt": [{"role": "user", "content": parts("p")}], "response": "r"},
         [([{"role": "user", "content": parts("p")}], "r")]),
        ({"messages": [user("p"), {"role": "assistant", "content": parts("r")}]}, [([user("p")], "r")]),
    ],
    "list of responses": [
        ({"prompt": "p", "responses": ["r1", "r2"], "scores": [1, 2]}, [("p", "r1"), ("p", "r2")]),
        ({"prompt": "p", "responses": [{"text": "r1", "score": 1.0}]}, [("p", "r1")]),
        ({"instruction": "p", "generations": ["r1", "r2"], "ratings": [1, 2]}, [("p", "r1"), ("p", "r2")]),
        ({"prompt": "\n\nHuman: p\n\nAssistant: ", "answers": [{"answer": "r1", "rank": 1.0, "model": "m"}]},
         [([user("p")], "r1")]),
    ],
    "messages": [({"messages": [user("p"), bot("r")]}, [([user("p")], "r")])],
}  # fmt: skip


def read(row: dict[str, Any]) -> list[tuple[Any, str]]:
    layout = layout_of(row, "row 0")
    rows = split(row, layout.sides[0]) if layout.shape.listed else [row]
    found = [response for one in rows for response in layout.responses(one, "row 0")]
    assert all(Item(**response.item()) for response in found)
    return [(response.prompt, response.text) for response in found]


def test_the_table_has_the_shapes_that_are_tested() -> None:
    table = DOCS.read_text("utf-8").partition("## Shapes")[2].partition("\n- ")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert rows[2:] == list(SHAPES)


@pytest.mark.parametrize(("shape", "number"), [(name, n) for name, rows in SHAPES.items() for n in range(len(rows))])
def test_every_shape_of_the_table_is_read_as_it_says(shape: str, number: int) -> None:
    row, expected = SHAPES[shape][number]
    assert read(row) == expected


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"chosen": "The sky is blue.", "rejected": "The sky is green."}, "--columns prompt=COLUMN"),
        ({"context": "p", "chosen": "Yes.\nc", "rejected": "Yes.\nr"}, "--columns prompt=context"),
        ({"chosen": "\n\nHuman: a\n\nAssistant: c", "rejected": "\n\nHuman: b\n\nAssistant: r"}, "differ before the"),
        ({"chosen": f"{HH} c", "rejected": f"{HH} "}, "a response is empty"),
        ({"chosen": f"{HH} c", "rejected": f"{HH} r\n\nHuman: Why?"}, "column 'rejected': the transcript ends with a"),
        ({"prompt": HH, "response": "La\n\nHuman: Why?"}, "column 'response': the transcript ends with a human's"),
        ({"prompt": HH, "chosen": f"{HH} c\n\nHuman: Why?", "rejected": f"{HH} r"}, "ends with a human's turn"),
        ({"chosen": f"{HH} c", "rejected": "\n\nHuman: Hi"}, "column 'rejected': there is no "),
        ({"chosen": "Q: 1?\nA: 2\nQ: 3?", "rejected": "Q: 1?\nA: 4\nQ: 5?"}, "a text ends with another 'Q:'"),
        ({"question": "q", "answer": "a"}, "--columns prompt=question,response=answer"),
        ({"promt": "p", "respons": "r"}, "--columns prompt=promt,response=respons"),
        ({"prompt": "p", "choosen": "c", "rejected": "r"}, "--columns chosen=choosen"),
        ({"prompt": "p", "response1": "a", "response2": "b", "preference": -1}, "chosen=response1,rejected=response2"),
        ({"question": "q", "response_k": "b", "response_j": "a"}, "--columns chosen=response_j,rejected=response_k"),
        ({"prompt": "p", "completions": ["a", "b"], "labels": [True, False]}, "the steps of one response"),
        ({"prompt": "<|im_start|>user\np<|im_end|>", "response": "r"}, "a chat template has written this text already"),
        ({"prompt": "p", "chosen": '[{"role": "user", "content": "p"}]', "rejected": "r"}, "were written as text"),
        ({"prompt": "p", "response": "[{'content': 'p', 'role': 'user'}\n {'content'"}, "were written as text"),
        ({"chosen": "[INST] q [/INST]\na", "rejected": "[INST] q [/INST]\nb"}, "written this text already ([INST])"),
        ({"prompt": "p", "response": "<|start_header_id|>assistant"}, "column 'response': a chat template has written"),
        ({"system": 3, "prompt": "p", "response": "r"}, "column 'system': int where text is expected"),
        ({"system": "s", "messages": [system("t"), user("p"), bot("r")]}, "the conversation has another"),
        ({"conversations": [{"from": "alien", "value": "p"}, {"from": "gpt", "value": "r"}]}, "from 'alien'; known:"),
        ({"conversations": [{"from": "human", "value": "p"}]}, "the last message is from 'user'"),
        ({"prompt": "x", "chosen": [user("p"), bot("c")], "rejected": [user("p"), bot("r")]}, "`--columns prompt=`"),
        ({"prompt": "p", "responses": [{"text": ""}]}, "column 'responses': empty"),
        ({"question": "q", "answers": {"text": ["a"], "answer_start": [1]}}, "no column 'response'"),
    ],
)  # fmt: skip
def test_what_has_no_certain_meaning_is_refused_with_what_to_do(row: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=re.escape(says)):
        read(row)


def test_a_guess_is_shown_and_a_transcript_is_none() -> None:
    guessed = layout_of({"chosen": "q\na", "rejected": "q\nb"}, "row 0")
    assert guessed.guessed
    assert guessed.parted_at == "the last line that both share"
    assert not layout_of({"chosen": f"{HH} c", "rejected": f"{HH} r"}, "row 0").guessed


def test_rows_of_a_file_are_parted_alike_or_refused() -> None:
    layout = layout_of({"chosen": "Q: q\nA: a", "rejected": "Q: q\nA: b"}, "row 0")
    with pytest.raises(BadInput, match="row 5: the prompt ends at the last line that both share, and in the rows"):
        layout.responses({"chosen": "q\na", "rejected": "q\nb"}, "row 5")


def test_every_turn_of_a_transcript_may_be_scored() -> None:
    row = {"chosen": f"{HH} La la", "rejected": f"{HH} No."}
    for response, last in zip(layout_of(row, "row 0", "all").responses(row, "row 0"), ("La la", "No."), strict=True):
        assert response.prompt == [*SUNG]
        assert response.turns == [bot(last)]


def test_splitting_keeps_what_stands_beside_the_responses_with_them() -> None:
    row = {"id": 7, "prompt": "p", "responses": ["a", "b"], "scores": [1, 2], "ranks": [1], "tags": ["x", "y"]}
    assert split(row, "responses") == [
        {"id": 7, "prompt": "p", "responses": ["a"], "scores": [1], "ranks": [1], "tags": ["x", "y"]},
        {"id": 7, "prompt": "p", "responses": ["b"], "scores": [2], "ranks": [1], "tags": ["x", "y"]},
    ]


def test_ids_in_a_list_of_responses_are_sent_as_they_are() -> None:
    row = {"prompt": "p", "responses": [{"text": "r", "token_ids": [5, 2], "finished": False}]}
    (response,) = layout_of(row, "row 0").responses(row, "row 0")
    assert response.item() == {"prompt": "p", "token_ids": [5, 2], "finished": False}
