"""Control tokens are renamed where the template wrote them, and nowhere else."""

from __future__ import annotations

from tokenreward.chat_format.control_tokens import ControlTokens


def test_the_longest_control_token_is_the_one_that_is_meant() -> None:
    control = ControlTokens({"<|im|>": 1, "<|im|><|end|>": 2})
    assert control.first(control.named("a<|im|><|end|>b")) == (2, "a")
    assert control.first(control.named("a<|im|>b<|im|><|end|>")) == (1, "a")


def test_a_text_without_control_tokens_has_no_first_one() -> None:
    assert ControlTokens({"</s>": 2}).first("plain") == (None, "")
    assert ControlTokens({}).named("</s>") == "</s>"


def test_look_alikes_are_broken_up_with_a_character_that_the_text_does_not_have() -> None:
    control = ControlTokens({"</s>": 2})
    text = "a</s>\U000f0000b"
    (broken,), mark = control.broken_up([{"role": "user", "content": text}])
    assert mark not in text
    assert not control.are_in(broken.values())
    assert control.named(broken["content"]).replace(mark, "") == text


def test_look_alikes_inside_one_another_are_broken_up_too() -> None:
    control = ControlTokens({"<a>": 1, "a><b": 2, "<b>": 3})
    (broken,), _ = control.broken_up([{"content": "<a><b>"}])
    assert not control.are_in(broken.values())


def test_a_secret_name_cannot_be_guessed_from_another_tokenizer_s() -> None:
    one, other = ControlTokens({"</s>": 2}), ControlTokens({"</s>": 2})
    assert one.first(other.named("</s>")) == (None, "")


def test_text_that_is_renamed_can_be_read_without_its_control_tokens() -> None:
    control = ControlTokens({"<|channel|>": 1, "<|message|>": 2})
    assert control.without(control.named("<|channel|>final<|message|>")) == "final"
