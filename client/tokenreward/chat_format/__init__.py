"""Conversations as a model's token ids: one set of rules for the workers that label and for the trainer.

What a prompt and a response are, in ids, is decided here and nowhere else. The package needs jinja2 and tokenizers, and
transformers only to read a model directory's own files; it never imports torch. The SDK itself does not import it.

A conversation goes through the modules in this order: `messages` (what it may hold), `template` (the model's chat
template), `control_tokens` (the template's control tokens, told from text that looks like them), `chat_tokenizer`
(text to ids), `end_of_turn` (what surrounds an answer), `offsets` (which characters a token stands for). `chat_format`
puts them together.
"""

from tokenreward.chat_format.chat_format import ChatFormat

__all__ = ["ChatFormat"]
