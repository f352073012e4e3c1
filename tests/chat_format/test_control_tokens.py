"""Control tokens are renamed where the template wrote them, and nowhere else."""

from __future__ import annotations

import json
import re

from tokenreward.chat_format.control_tokens import ControlTokens, mark_for, without_mark


def first(control: ControlTokens, named: str) -> tuple[int, str] | None:
    """The id of the first control token of a renamed text, and the text before it."""
    found = control.first(named)
    return found and (int(found[1]), named[: found.start()])


def test_the_longest_control_token_is_the_one_that_is_meant() -> None:
    control = ControlTokens({"<|im|>": 1, "<|im|><|end|>": 2})
    assert first(control, control.named("a<|im|><|end|>b")) == (2, "a")
    assert first(control, control.named("a<|im|>b<|im|><|end|>")) == (1, "a")


def test_a_text_without_control_tokens_has_no_first_one() -> None:
    assert ControlTokens({"</s>": 2}).first("plain") is None
    assert ControlTokens({}).named("</s>") == "</s>"


def test_look_alikes_are_broken_up_with_a_character_that_the_text_does_not_have() -> None:
    control = ControlTokens({"</s>": 2})
    text = "a</s>\U000f0000b"
    message = {"role": "user", "content": text}
    mark = mark_for(message)
    broken = control.broken_up(message, mark)
    assert mark not in text
    assert not control.are_in(broken)
    assert without_mark(control.named(broken["content"]), mark) == text


def test_look_alikes_inside_one_another_are_broken_up_too() -> None:
    control = ControlTokens({"<a>": 1, "a><b": 2, "<b>": 3})
    assert not control.are_in(control.broken_up(["<a><b>"], "\U000f0000"))


def test_look_alikes_are_found_at_any_depth_and_in_keys() -> None:
    control = ControlTokens({"</s>": 2})
    tools = [{"function": {"name": "f", "parameters": {"</s>": [1, None, "x</s>"]}}}]
    assert control.are_in(tools)
    mark = mark_for(tools)
    broken = control.broken_up(tools, mark)
    assert not control.are_in(broken)
    for ascii_only in (True, False):  # as a template's `tojson` may write them
        assert without_mark(json.dumps(broken, ensure_ascii=ascii_only), mark) == json.dumps(tools)


def test_what_the_template_is_to_find_stays_whole() -> None:
    control = ControlTokens({"</think>": 1, "</s>": 2})
    assert control.broken_up("a</think>b</s>", "*", re.compile("(</think>)")) == "a</think>b<*/s>"


def test_a_secret_name_cannot_be_guessed_from_another_tokenizer_s() -> None:
    one, other = ControlTokens({"</s>": 2}), ControlTokens({"</s>": 2})
    assert one.first(other.named("</s>")) is None


def test_text_that_is_renamed_can_be_read_with_and_without_its_control_tokens() -> None:
    control = ControlTokens({"<|channel|>": 1, "<|message|>": 2})
    named = control.named("<|channel|>final<|message|>")
    assert control.without(named) == "final"
    assert control.real(named) == "<|channel|>final<|message|>"


def test_a_text_is_never_cut_inside_a_secret_name() -> None:
    control = ControlTokens({"</s>": 1})
    named = control.named("ab</s>c")
    assert {control.whole(named, n) for n in range(3, len(named) - 1)} == {2}
    assert [control.whole(named, n) for n in (0, 2, len(named) - 1, len(named))] == [0, 2, len(named) - 1, len(named)]
