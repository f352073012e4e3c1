"""What surrounds an answer is read off the chat template."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tokenreward.chat_format import ChatFormat
from tokenreward.errors import BadInput


def changed(tokenizer: Any, template: str) -> ChatFormat:
    """The chat format of a tokenizer under another chat template."""
    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return ChatFormat.from_pretrained_tokenizer(other)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0]['content'] }}",  # never writes an answer
        "{{ messages[0]['content'] }}{% if messages | length > 1 %}{{ '<|im_end|>' }}{% endif %}",
        "{{ '<|im_start|>' + (messages | length | string) + messages[0]['content'] }}",
        "{% if messages | length > 1 %}{{ raise_exception('no') }}{% endif %}{{ messages[0]['content'] }}",
    ],
)
def test_an_answer_that_the_template_does_not_write_is_refused(chatml: Any, template: str) -> None:
    chat = changed(chatml, template)
    assert chat.end_of_turn is None
    with pytest.raises(
        BadInput, match=r"does not write an assistant's answer; send `token_ids`|refuses this prompt: no"
    ):
        chat.answer_ids("Paris.")


def test_a_generation_prompt_is_cut_to_what_the_answered_conversation_has_too(chatml: Any) -> None:
    template = str(chatml.chat_template).replace("assistant\n' }}{% endif", "assistant\n<think>\n' }}{% endif")
    chat = changed(chatml, template)
    assert chat.tokenizer.text(chat.prompt_ids("a")).endswith("assistant\n<think>\n")
    assert chat.tokenizer.text(chat.prompt_ids("a", answered=True)).endswith("assistant\n")
    *said, end = chat.answer_ids("Paris.")
    assert chat.tokenizer.decode(said) == "Paris."
    assert end == chat.end_of_turn == chatml.convert_tokens_to_ids("<|im_end|>")


def test_offsets_do_not_count_the_control_tokens_that_a_template_puts_before_an_answer(chatml: Any) -> None:
    """As gpt-oss's template does, which opens a channel: `<|channel|>final<|message|>`."""
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] }}"
        "{{ '<|endoftext|>final<|im_start|>' if m['role'] == 'assistant' else ':' }}{{ m['content'] + '<|im_end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
    )
    chat = changed(chatml, template)
    text = "It is Paris."
    answer = chat.answer(text)
    tokens, spans = chat.pieces(chat.ids([answer])[0], answer)
    said = [(token, text[start:end]) for token, (start, end) in zip(tokens, spans, strict=True) if end > start]
    assert (tokens[0], tokens[-1]) == ("<|endoftext|>", "<|im_end|>")
    assert "".join(token for token, _ in said) == text
    assert all(token == characters for token, characters in said)


def test_an_answer_loses_the_blanks_that_the_template_strips(chatml: Any) -> None:
    chat = changed(chatml, str(chatml.chat_template).replace("m['content']", "m['content'] | trim"))
    text = "\n It is  so. \n"
    answer = chat.answer(text)
    ids = chat.ids([answer])[0]
    assert chat.tokenizer.text(ids) == "It is  so.<|im_end|>"
    tokens, spans = chat.pieces(ids, answer)
    assert [text[start:end] for start, end in spans] == [*tokens[:-1], ""]


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("<|im_end|>\n", "<|im_end|>"),
        (" <|im_start|><|im_end|>\n", " <|im_start|><|im_end|>"),  # up to the eos token
        ("<|im_start|>\n<|im_end|>", "<|im_start|>"),
        ("\n### End\n", "\n### End"),
        ("\n", ""),
    ],
)
def test_what_ends_a_turn(chatml: Any, rest: str, found: str) -> None:
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + ':' + m['content'] + " + repr(rest) + " }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant:' }}{% endif %}"
    )
    chat = changed(chatml, template)
    assert chat.tokenizer.text(chat.answer_ids("So")) == "So" + (found or "<|im_end|>")
    assert chat.tokenizer.text(chat.answer_ids("So", finished=False)) == "So"
