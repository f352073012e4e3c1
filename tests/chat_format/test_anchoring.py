"""Answers are tokenized as what goes on from a prompt, never as the start of a text."""

from __future__ import annotations

import pytest

from benchmarks.model_zoo.families import FAMILIES
from tokenreward.chat_format import ChatFormat


@pytest.mark.parametrize("answer", ["\n\nBecause.", "\n\n  Because.", "\n", "Because."])
def test_line_ends_at_the_start_of_an_answer_get_no_blank_before_them(answer: str) -> None:
    """Llama 2's tokenizer puts a blank before every text, and a prompt of Zephyr ends with a line end."""
    tokenizer = next(family for family in FAMILIES if family.name == "Zephyr").tokenizer()
    chat = ChatFormat.from_pretrained_tokenizer(tokenizer)
    ids = chat.prompt_ids("Why?", answered=True) + chat.answer_ids(answer)
    assert tokenizer.decode(ids).endswith(f"<|assistant|>\n{answer}</s>")
