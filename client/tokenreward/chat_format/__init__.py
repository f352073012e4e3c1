"""Conversations as a model's token ids: one set of rules for the workers that label and for the trainer.

What a prompt and a response are, in ids, is decided here and nowhere else. The package needs jinja2 and tokenizers, and
transformers only to read a model directory's own files; it never imports torch. The SDK itself does not import it.

A conversation goes through the modules in this order: `messages` (what it may hold), `message_forms` (the forms that
the chat template takes), `template` (the template itself), `control_tokens` and `named_template` (its control tokens,
told from text that looks like them), `turn` (what it puts around an answer, for each of the `shapes` that conversations
have), `answer_text` (an answer in the whole conversation), `anchoring` and `chat_tokenizer` (text to ids), `offsets`
and `alignment` (which characters a token stands for). Conversations of which several turns are scored also go through
`trajectory_reading` (where the turns are) and `trajectory` (which tokens are a turn's). `writing` puts together what
makes text, `chat_format` the rest.
"""

from tokenreward.chat_format.chat_format import ChatFormat, Completion
from tokenreward.chat_format.messages import Conversation

__all__ = ["ChatFormat", "Completion", "Conversation"]
