"""Chat templates have the same hash exactly if they write the same texts."""

from __future__ import annotations

from transformers import PreTrainedTokenizerFast

from tests.support.tiny_checkpoint import chat_tokenizer
from tokenreward.chat_format import ChatFormat
from tokenreward.chat_format.template_hash import template_hash

ROLES = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
SOURCE = "{{ bos_token }}{{ messages }}"


def test_the_hash_is_of_the_source_of_the_roles_that_it_writes_and_of_other_templates() -> None:
    hashes = [
        template_hash(SOURCE, ROLES),
        template_hash(SOURCE + " ", ROLES),
        template_hash(SOURCE, ROLES | {"bos_token": "<S>"}),
        template_hash(SOURCE, ROLES | {"eos_token": "<S>"}),
        template_hash(SOURCE, {"eos_token": "</s>"}),
        template_hash(SOURCE, ROLES, {"tool_use": "{{ tools }}"}),
        template_hash(SOURCE, ROLES, {"tool_use": "{{ pad_token }}"}),
    ]
    assert len(set(hashes)) == len(hashes)


def test_a_role_that_the_template_does_not_write_changes_nothing() -> None:
    assert template_hash(SOURCE, ROLES | {"pad_token": "</s>"}) == template_hash(SOURCE, ROLES)
    assert template_hash(SOURCE, ROLES, {}) == template_hash(SOURCE, ROLES, None)


def test_a_template_among_several_counts_with_the_others() -> None:
    def of(tokenizer: PreTrainedTokenizerFast) -> str:
        return ChatFormat.from_pretrained_tokenizer(tokenizer).template_hash

    alone, several = chat_tokenizer(), chat_tokenizer()
    before = of(alone)
    several.chat_template = {"default": alone.chat_template}
    assert of(several) == before
    several.chat_template = {"default": alone.chat_template, "tool_use": "{{ tools }}"}
    assert of(several) != before
