"""Templates are data: what they render, and what they never do."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tokenreward import estimators, templates
from tokenreward.errors import UnknownName
from tokenreward.schema import Branch, Item, Message, Template


def test_every_shipped_template_has_the_bare_prompt_and_what_some_estimator_needs() -> None:
    for name in ("revision", "opposite"):
        assert {"better", "worse", "plain"} <= templates.shipped()[name].branches.keys()
    for template in templates.shipped().values():
        assert "plain" in template.branches
        assert any(set(e.branches) <= template.branches.keys() for e in estimators.shipped().values())


def test_a_branch_without_a_model_leaves_the_templates_hash_as_it_was() -> None:
    plain = Template(name="t", branches={"better": Branch(directive="x"), "worse": Branch(directive="y")})
    adapted = Template(name="t", branches={**plain.branches, "better": Branch(directive="x", model="dpo")})
    assert plain.hash == "1a81552255f8a1d0", "what is not there does not count"
    assert adapted.hash != plain.hash


def test_the_templates_of_two_models_show_the_bare_question() -> None:
    item = Item(prompt="What is 2+2?", response="It is 4.", context={"privilege": "It is 4."})
    asked = [Message(role="user", content="What is 2+2?")]
    pair = templates.render(templates.resolve("strong-weak"), Item(prompt="What is 2+2?", response="It is 4."))
    assert set(pair) == {"better", "worse", "plain"}
    assert all(chat == asked for chat in pair.values())
    own = templates.render(templates.resolve("self"), item)
    assert own["plain"] == asked
    assert "It is 4." in own["privileged"][0].text
    assert {branch.model for branch in templates.resolve("self").branches.values()} == {"policy"}


def test_the_null_branch_of_evidence_knows_nothing_of_the_question() -> None:
    item = Item(prompt="MY-QUESTION", response="MY-ANSWER")
    chats = templates.render(templates.resolve("evidence"), item)
    assert "MY" not in chats["null"][0].content
    assert chats["plain"] == [Message(role="user", content="MY-QUESTION")]


def test_revision_shows_question_and_answer_and_differs_only_in_its_last_words() -> None:
    item = Item(prompt="What is 2+2?", response="It is 4.")
    better, worse = (templates.render(templates.resolve("revision"), item)[b][0].content for b in ("better", "worse"))
    assert "What is 2+2?" in better
    assert "It is 4." in better
    shared = next(n for n, (a, b) in enumerate(zip(better, worse, strict=False)) if a != b)
    assert better.index("It is 4.") < shared


def test_opposite_does_not_show_the_answer() -> None:
    item = Item(prompt="What is 2+2?", response="SECRET")
    chats = templates.render(templates.resolve("opposite"), item)
    assert not any("SECRET" in message.content for chat in chats.values() for message in chat)
    assert not templates.needs_response(templates.resolve("opposite"))


def test_placeholders_are_replaced_once_and_literally() -> None:
    template = Template(name="t", branches={"a": Branch(context="{prompt}|{response}|{other}|{prompt!r}")})
    item = Item(prompt="{response}{0}", response="{prompt}%s")
    assert templates.render(template, item)["a"][0].content == "{response}{0}|{prompt}%s|{other}|{prompt!r}"


def test_lengths_are_those_of_what_would_be_rendered_and_nothing_is_rendered_for_them() -> None:
    chat = [Message(role="system", content="Be {prompt}."), Message(role="user", content="Hi")]
    odd = Template(
        name="t", context="{response}", branches={"a": Branch(directive="{{prompt}}{x}"), "b": Branch(context="")}
    )
    plain = [template for template in templates.shipped().values() if not template.fields]
    for template in [*plain, odd]:
        for item in (Item(prompt="{response}", response="A"), Item(prompt=chat, response="{prompt} B")):
            rendered = templates.render(template, item)
            expected = {name: sum(len(message.content) for message in messages) for name, messages in rendered.items()}
            assert templates.lengths(template, item) == expected
    greedy = Template(name="t", branches={"a": Branch(context="{prompt}" * 2500, directive="{prompt}" * 2500)})
    assert templates.lengths(greedy, Item(prompt="x" * 2**20, response="r")) == {"a": 5000 * 2**20}


@pytest.mark.parametrize("part", ["context", "directive"])
def test_a_branch_has_no_more_words_than_a_template(part: str) -> None:
    assert Branch.model_validate({part: "x" * 20_000})
    with pytest.raises(ValidationError, match="20000"):
        Branch.model_validate({part: "x" * 20_001})


def test_the_plain_branch_is_the_conversation_itself() -> None:
    chat = [Message(role="system", content="Be brief."), Message(role="user", content="Hi")]
    plain = templates.render(templates.resolve("revision"), Item(prompt=chat, response="Hello"))["plain"]
    assert plain == chat


def test_several_turns_become_a_transcript() -> None:
    chat = [
        Message(role="user", content="Hi"),
        Message(role="assistant", content="Yes?"),
        Message(role="user", content="Go"),
    ]
    assert templates.transcript(chat) == "User: Hi\n\nAssistant: Yes?\n\nUser: Go"
    assert templates.transcript([Message(role="user", content="Hi")]) == "Hi"


def test_a_transcript_leaves_nothing_of_a_conversation_out() -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    prompt = [
        {"role": "user", "content": [{"type": "text", "text": "Weather"}, {"type": "text", "text": "?"}]},
        {"role": "assistant", "content": "", "reasoning_content": "Look.", "tool_calls": [call]},
        {"role": "tool", "name": "weather", "content": "rain"},
    ]
    tools = [{"type": "function", "function": {"name": "weather"}}]
    answer = {"role": "assistant", "content": "Rain.", "reasoning_content": "So it is."}
    item = Item.model_validate({"prompt": prompt, "response": answer, "tools": tools})
    template = Template(name="t", branches={"a": Branch(directive="{prompt}|{response}")})
    (message,) = templates.render(template, item)["a"]
    assert message.content == (
        'Tools:\n{"type": "function", "function": {"name": "weather"}}\n\nUser: Weather?\n\n'
        'Assistant: (thinks) Look.\n\nAssistant: (calls weather) {"city": "Oslo"}\n\nTool (weather): rain'
        "|(thinks) So it is.\n\nRain."
    )
    assert templates.lengths(template, item) == {"a": len(message.content)}


def test_the_hash_follows_the_words_and_not_the_description() -> None:
    one = templates.resolve("revision")
    assert one.model_copy(update={"description": "other"}).hash == one.hash
    assert one.model_copy(update={"context": one.context + " "}).hash != one.hash


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="opposite"):
        templates.resolve("nope")
