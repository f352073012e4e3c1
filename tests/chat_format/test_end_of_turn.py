"""What surrounds an answer is read off the chat template."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tokenreward.chat_format import ChatFormat


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
        "{{ '<|im_start|>' + (messages | length | string) + messages[0]['content'] }}",  # nor the prompt again
        "{% if messages | length > 1 %}{{ raise_exception('no') }}{% endif %}{{ messages[0]['content'] }}",
    ],
)
def test_a_template_that_writes_no_answer_leaves_it_as_it_is_and_the_eos_ends_it(chatml: Any, template: str) -> None:
    chat = changed(chatml, template)
    *said, end = chat.answer_ids("Paris.")
    assert chat.tokenizer.decode(said) == "Paris."
    assert end == chatml.eos_token_id


def test_a_prompt_that_is_written_differently_once_answered_puts_nothing_before_the_answer(chatml: Any) -> None:
    template = str(chatml.chat_template).replace("assistant\n' }}{% endif", "assistant\n<think>\n' }}{% endif")
    chat = changed(chatml, template)
    *said, end = chat.answer_ids("Paris.")
    assert chat.tokenizer.decode(said) == "Paris."
    assert end == chatml.convert_tokens_to_ids("<|im_end|>")


def test_offsets_do_not_count_the_control_tokens_that_a_template_puts_before_an_answer(chatml: Any) -> None:
    """As gpt-oss's template does, which opens a channel: `<|channel|>final<|message|>`."""
    template = (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] }}"
        "{{ '<|endoftext|>final<|im_start|>' if m['role'] == 'assistant' else ':' }}{{ m['content'] + '<|im_end|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
    )
    chat = changed(chatml, template)
    text = "It is Paris."
    ids = chat.answer_ids(text)
    tokens, spans = chat.pieces(ids, text, chat.answer_start)
    said = [(token, text[start:end]) for token, (start, end) in zip(tokens, spans, strict=True) if end > start]
    assert (tokens[0], tokens[-1]) == ("<|endoftext|>", "<|im_end|>")
    assert "".join(token for token, _ in said) == text
    assert all(token == characters for token, characters in said)


def test_an_answer_keeps_the_blanks_that_the_template_would_strip(chatml: Any) -> None:
    chat = changed(chatml, str(chatml.chat_template).replace("m['content']", "m['content'] | trim"))
    text = "\n It is Paris. \n"
    *said, end = chat.answer_ids(text)
    assert chat.tokenizer.decode(said) == text
    assert end == chatml.convert_tokens_to_ids("<|im_end|>")
