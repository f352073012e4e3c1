"""The byte-level tokenizer of the synthetic engine: one id per byte, and ChatML."""

from __future__ import annotations

import json

from tokenreward.chat_format import ChatFormat
from tokenreward.chat_format.byte_level import byte_level_table

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
#: Ids are in [0, VOCABULARY).
VOCABULARY = 256 + len(_SPECIAL)
_CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def chat_format() -> ChatFormat:
    """Make the tokenizer and its chat template."""
    added = [
        {"id": 256 + n, "content": text, "special": True, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for n, text in enumerate(_SPECIAL)
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    vocabulary = byte_level_table() | {text: 256 + n for n, text in enumerate(_SPECIAL)}
    content = {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    return ChatFormat(json.dumps(content), _CHAT_TEMPLATE, {"eos_token": "<|im_end|>"})
