"""Which prompt and responses a row holds, and what a bad row is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokenreward.dataset.row_layout import Response, layout_of
from tokenreward.errors import BadInput
from tokenreward.schema import Item


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def responses(row: dict[str, Any]) -> list[tuple[str, Any, str]]:
    found = layout_of(row, "row 0").responses(row, "row 0")
    assert all(isinstance(r, Response) for r in found)
    return [(r.side, r.prompt, r.text) for r in found]


def test_prompt_and_response_in_text() -> None:
    assert responses({"prompt": "p", "response": "r", "id": 1}) == [("response", "p", "r")]


def test_completion_is_another_name_of_response() -> None:
    assert responses({"prompt": "p", "completion": "r"}) == [("completion", "p", "r")]


def test_a_chat_prompt_and_a_text_response() -> None:
    turns = [user("a"), assistant("b"), user("c")]
    assert responses({"prompt": turns, "response": "r"}) == [("response", turns, "r")]


def test_a_conversation_ends_in_its_response() -> None:
    assert responses({"messages": [user("p"), assistant("r")]}) == [("messages", [user("p")], "r")]


def test_trl_standard_preference() -> None:
    row = {"prompt": "p", "chosen": "c", "rejected": "r"}
    assert responses(row) == [("chosen", "p", "c"), ("rejected", "p", "r")]


def test_trl_conversational_preference() -> None:
    row = {"prompt": [user("p")], "chosen": [assistant("c")], "rejected": [assistant("r")]}
    assert responses(row) == [("chosen", [user("p")], "c"), ("rejected", [user("p")], "r")]


def test_trl_conversational_preference_with_an_implicit_prompt() -> None:
    row = {"chosen": [user("p"), assistant("c")], "rejected": [user("p"), assistant("r")]}
    assert responses(row) == [("chosen", [user("p")], "c"), ("rejected", [user("p")], "r")]


def test_a_prompt_that_the_conversations_repeat() -> None:
    row = {"prompt": "p", "chosen": [user("p"), assistant("c")], "rejected": [user("p"), assistant("r")]}
    assert responses(row) == [("chosen", [user("p")], "c"), ("rejected", [user("p")], "r")]


def test_nulls_are_keys_that_a_message_has_not() -> None:
    row = {"prompt": [user("p") | {"tool_calls": None}], "response": "r"}  # type: ignore[dict-item]
    assert responses(row) == [("response", [user("p")], "r")]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"text": "x"}, "row 0: no column 'response' among 'text'"),
        ({}, "no column 'response' among none"),
        ({"prompt": "p", "chosen": "c"}, "no column 'rejected'"),
        ({"response": "r"}, "column 'prompt': missing"),
        ({"prompt": "", "response": "r"}, "column 'prompt': empty"),
        ({"prompt": "p", "response": ""}, "column 'response': empty"),
        ({"prompt": "p", "response": None}, "column 'response': missing"),
        ({"prompt": "p", "response": "a\ud83d"}, "column 'response': character 1 is half a surrogate pair"),
        ({"prompt": "p", "response": 7}, "column 'response': int where text is expected"),
        ({"prompt": ["p"], "response": "r"}, "column 'prompt': message 0 has no text `role` and `content`"),
        ({"prompt": [], "response": "r"}, "column 'prompt': empty"),
        ({"prompt": "p", "chosen": [assistant("c")], "rejected": "r"}, "'rejected': text where messages is expected"),
        ({"prompt": "p", "chosen": [user("c")], "rejected": [user("r")]}, "last message is from 'user'"),
        ({"prompt": "p", "chosen": [assistant("")], "rejected": [assistant("r")]}, "column 'chosen': empty"),
        ({"chosen": [assistant("c")], "rejected": [assistant("r")]}, "one message and no `prompt`"),
        (
            {"chosen": [user("p"), assistant("c")], "rejected": [user("q"), assistant("r")]},
            "differ before their last message",
        ),
        (
            {"prompt": [user("x")], "chosen": [user("p"), assistant("c")], "rejected": [user("p"), assistant("r")]},
            "column 'chosen': the messages before the last are not those of `prompt`",
        ),
        (
            {"prompt": "x", "chosen": [user("p"), assistant("c")], "rejected": [user("p"), assistant("r")]},
            "column 'chosen': the message before the last is not `prompt`",
        ),
        ({"chosen": "abc", "rejected": "xyz"}, "nothing in both texts says where it ends"),
        ({"chosen": "Q\nA: ", "rejected": "Q\nA: "}, "a response is empty behind the last 'A:'"),
        ({"prompt": "p", "response": "r", "token_rewards": [1]}, "column 'token_rewards' already"),
        (
            {"prompt": [user("p") | {"images": ["x"]}], "response": "r"},
            "column 'prompt': message 0 has `images`, which",
        ),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image", "url": "x"}]}], "response": "r"},
            "column 'prompt': message 0, `content.0`: a part of the kind 'image' cannot be carried, only text can",
        ),
        ({"prompt": "p", "response": "r", "images": ["x"]}, "row 0, column 'images': only text can be labeled"),
        ({"prompt": "p", "response": "r", "tools": [1]}, "column 'tools': a list of tools is expected"),
        ({"prompt": "p", "response": "r", "tools": "[{"}, "column 'tools': no JSON"),
        (
            {"prompt": "p", "response": "r", "chat_template_kwargs": {"messages": []}},
            "column 'chat_template_kwargs': `messages` is no switch of the chat template",
        ),
        (
            {"prompt": "p", "response": "r", "chat_template_kwargs": {"a": "x" * 20_000}},
            "column 'chat_template_kwargs': at most 16384 characters of JSON are taken",
        ),
        (
            {"prompt": [user("p"), assistant("a")], "response": "r"},
            "column 'prompt': the prompt ends in an assistant's",
        ),
        (
            {"messages": [user("p"), assistant("a"), assistant("r")]},
            "column 'messages': the prompt ends in an assistant",
        ),
        (
            {"prompt": [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}], "response": "r"},
            "column 'prompt': message 0, `tool_calls`: a tool call is",
        ),
        ({"prompt": "p", "chosen": "c", "rejected": "r", "chosen_tokens": []}, "column 'chosen_tokens' already"),
        ({"prompt": "p", "response": "r", "token_ids": []}, "column 'token_ids': a list of token ids is expected"),
        ({"prompt": "p", "response": "r", "token_ids": "1 2"}, "column 'token_ids': a list of token ids"),
        ({"prompt": "p", "response": "r", "token_ids": [1, True]}, "column 'token_ids': a list of token ids"),
        ({"prompt": "p", "response": "r", "token_ids": [-1]}, "column 'token_ids': a list of token ids"),
        ({"prompt": "p", "response": "r", "finished": "2024"}, "column 'finished': true or false is expected"),
        (
            {"prompt": "p", "chosen": "c", "rejected": "r", "rejected_token_ids": [2**31]},
            "column 'rejected_token_ids': a list of token ids",
        ),
    ],
)
def test_a_bad_row_is_told_what_is_wrong_and_where(row: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as caught:
        responses(row)
    assert says in str(caught.value)


def test_ids_and_flags_of_a_row_are_sent_as_they_are() -> None:
    row = {
        "prompt": "p",
        "chosen": "c",
        "rejected": "r",
        "chosen_token_ids": [5, 2],
        "rejected_token_ids": None,
        "chosen_finished": True,
        "rejected_finished": False,
    }
    layout = layout_of(row, "row 0")
    assert [response.item() for response in layout.responses(row, "row 0")] == [
        {"prompt": "p", "token_ids": [5, 2]},
        {"prompt": "p", "response": "r", "finished": False},
    ]
    single = {"prompt": "p", "messages": [user("p"), assistant("r")], "token_ids": [7], "finished": False}
    (response,) = layout_of(single, "row 0").responses(single, "row 0")
    assert response.item() == {"prompt": [user("p")], "token_ids": [7], "finished": False}


def test_a_later_row_in_another_format_is_an_error() -> None:
    layout = layout_of({"prompt": "p", "chosen": "c", "rejected": "r"}, "row 0")
    with pytest.raises(BadInput, match=r"row 5, column 'chosen': messages where text is expected \(mixed formats\)"):
        layout.responses({"prompt": "p", "chosen": [assistant("c")], "rejected": "r"}, "row 5")
    implicit = layout_of({"chosen": "a\nb", "rejected": "a\nc"}, "row 0")
    with pytest.raises(BadInput, match=r"row 5, column 'prompt': .*mixed formats"):
        implicit.responses({"prompt": "p", "chosen": "a\nb", "rejected": "a\nc"}, "row 5")


CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def test_a_whole_conversation_is_sent_as_it_is() -> None:
    asked = [user("Weather?"), {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    asked.append({"role": "tool", "content": "rain", "name": "weather", "tool_call_id": "1"})
    row = {"prompt": asked, "chosen": [assistant("Rain.")], "rejected": [assistant("") | {"tool_calls": [CALL]}]}
    row |= {"tools": TOOLS, "chat_template_kwargs": {"enable_thinking": False}}
    chosen, rejected = (r.item() for r in layout_of(row, "row 0").responses(row, "row 0"))
    shared = {"prompt": asked, "tools": TOOLS, "chat_template_kwargs": {"enable_thinking": False}}
    assert chosen == shared | {"response": "Rain."}
    assert rejected == shared | {"response": row["rejected"][0]}
    for item in (chosen, rejected):
        assert Item.model_validate(item)


def test_a_thought_apart_belongs_to_the_response() -> None:
    row = {"prompt": "p", "response": [assistant("4") | {"thinking": "two and two"}]}
    (response,) = layout_of(row, "row 0").responses(row, "row 0")
    assert response.text == "4"
    assert response.item()["response"] == assistant("4") | {"reasoning_content": "two and two"}


def test_nulls_that_a_columnar_file_wrote_are_left_out_of_calls_and_tools() -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo", "unit": None}}}
    tools = [{"type": "function", "function": {"name": "weather", "strict": None}}]
    row = {"prompt": [user("p")], "response": [{"role": "assistant", "content": None, "tool_calls": [call]}]}
    row |= {"tools": tools, "chat_template_kwargs": {"enable_thinking": None}}
    (response,) = layout_of(row, "row 0").responses(row, "row 0")
    assert response.message is not None
    assert response.message["tool_calls"] == [CALL]
    assert response.tools == [{"type": "function", "function": {"name": "weather"}}]
    assert response.chat_template_kwargs is None


def test_tools_may_stand_there_as_json_text() -> None:
    row = {"prompt": "p", "response": "r", "tools": json.dumps(TOOLS)}
    (response,) = layout_of(row, "row 0").responses(row, "row 0")
    assert response.tools == TOOLS
