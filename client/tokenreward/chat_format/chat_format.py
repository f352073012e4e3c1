"""One model's chat format: its tokenizer and its chat template, from conversations to token ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenreward.chat_format import offsets
from tokenreward.chat_format.chat_tokenizer import ChatTokenizer
from tokenreward.chat_format.end_of_turn import read_turn
from tokenreward.chat_format.messages import Prompt, messages_of, system_in_user_turn
from tokenreward.chat_format.template import ChatTemplate, plain_template
from tokenreward.chat_format.template_hash import template_hash
from tokenreward.chat_format.tokenizer_hash import tokenizer_hash
from tokenreward.errors import BadInput

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class PromptText:
    """A prompt as the text that is tokenized for it, generation prompt included.

    Attributes:
        text: The rendered conversation, control tokens under their secret names.
    """

    text: str


@dataclass(frozen=True, slots=True)
class AnswerText:
    """An answer as the text that is tokenized for it.

    Attributes:
        text: The answer and what the chat template puts around it.
        finished: Whether the answer's ids end with the end-of-turn token.
    """

    text: str
    finished: bool


class ChatFormat:
    """Prompts and answers as the token ids of one model.

    Safe to share between threads: nothing changes once it is made.

    Args:
        serialized: The JSON of the model's `tokenizers.Tokenizer`.
        chat_template: The jinja2 source, or None for a model without a chat template. Such a model reads every message
            as it is, with an empty line after it.
        special_tokens: The special tokens by their role, for example `{"bos_token": "<s>", "eos_token": "</s>"}`.
        named: The model's other chat templates, by their names.

    Attributes:
        tokenizer: Text to ids and back, control tokens by their secret name only.
        chat_template: The jinja2 source that is in use.
        template_hash: Of the chat template and what it writes; see `template_hash`.
        answer_start: How many characters the chat template itself puts before an answer, usually none.

    Raises:
        BadInput: The tokenizer or the template cannot be used.
    """

    def __init__(
        self,
        serialized: str,
        chat_template: str | None,
        special_tokens: dict[str, str],
        named: Mapping[str, str] | None = None,
    ) -> None:
        self.tokenizer = ChatTokenizer(serialized)
        self.chat_template = chat_template or plain_template(serialized, special_tokens)
        self.template_hash = template_hash(self.chat_template, special_tokens, named)
        self._template = ChatTemplate(self.chat_template, special_tokens)
        eos = self.tokenizer.control.ids.get(special_tokens.get("eos_token", ""))
        self._turn = read_turn(self.tokenizer, self._rendered, eos)
        self.answer_start = len(self.tokenizer.control.without(self._turn.before))

    @classmethod
    def load(cls, path: Path) -> ChatFormat:
        """Reads a model directory as transformers does.

        Raises:
            BadInput: The directory's tokenizer or chat template cannot be used.
        """
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(path)
        except (OSError, ValueError, AttributeError, KeyError, ImportError) as error:
            raise BadInput(f"the tokenizer of {path} cannot be loaded: {error}") from error
        try:
            return cls.from_pretrained_tokenizer(tokenizer)
        except BadInput as error:
            raise BadInput(f"the chat format of {path} cannot be read: {error}") from error

    @classmethod
    def from_pretrained_tokenizer(cls, tokenizer: Any) -> ChatFormat:
        """Takes over a tokenizer that transformers has loaded (a `PreTrainedTokenizerBase`).

        Raises:
            BadInput: The tokenizer or its chat template cannot be used.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise BadInput(f"{type(tokenizer).__name__} has no fast version, which is needed to work with token ids")
        template, named = tokenizer.chat_template, {}
        if isinstance(template, dict):
            if "default" not in template:
                names = ", ".join(sorted(template))
                raise BadInput(f"the tokenizer has several chat templates ({names}), and none is called `default`")
            named = {name: source for name, source in template.items() if name != "default"}
            template = template["default"]
        special = {role: text for role, text in tokenizer.special_tokens_map.items() if isinstance(text, str)}
        return cls(tokenizer.backend_tokenizer.to_str(), template, special, named)

    @cached_property
    def hash(self) -> str:
        """The tokenizer's hash: labels belong to tokenizers with the same one (see `tokenizer_hash`)."""
        return tokenizer_hash(self.tokenizer.serialized)

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """The ids of a prompt, up to and including the generation prompt.

        Args:
            prompt: The user's text, or a conversation of messages with text `role` and `content`. Other keys of a
                message are not read.

        Raises:
            BadInput: The chat template refuses the conversation, a role is unknown, or the text is no valid Unicode.
        """
        return self.ids([self.prompt(prompt)])[0]

    def answer_ids(self, text: str, *, finished: bool = True) -> list[int]:
        """The ids of an answer that exists as text, the same whatever the prompt is.

        They are what the chat template puts after the generation prompt, up to and including the end-of-turn token. The
        text itself is kept as it is, even where the template would strip blanks from it or leave out its reasoning: a
        model that sampled these blanks is trained on them.

        Args:
            text: The answer.
            finished: False leaves out the end-of-turn token, and what the template puts before it.

        Raises:
            BadInput: The text is no valid Unicode.
        """
        return self.ids([self.answer(text, finished=finished)])[0]

    def prompt(self, prompt: Prompt) -> PromptText:
        """The first half of `prompt_ids`, for callers that tokenize many texts with one call of `ids`."""
        messages = messages_of(prompt)
        if not self._template.takes_system:
            messages = system_in_user_turn(messages)
        return PromptText(_valid(self._rendered(messages)))

    def answer(self, text: str, *, finished: bool = True) -> AnswerText:
        """The first half of `answer_ids`, for callers that tokenize many texts with one call of `ids`."""
        return AnswerText(_valid(self._turn.text(text, finished=finished)), finished)

    def ids(self, texts: Sequence[PromptText | AnswerText]) -> list[list[int]]:
        """The ids of each text, in order. One call tokenizes them in parallel."""
        encoded = self.tokenizer.encode([text.text for text in texts])
        return [
            self._turn.ids(self.tokenizer, ids, text.text, finished=text.finished)
            if isinstance(text, AnswerText)
            else ids
            for text, ids in zip(texts, encoded, strict=True)
        ]

    def pieces(self, ids: Sequence[int], text: str, before: int) -> tuple[list[str], list[tuple[int, int]]]:
        """Each token's own text and its characters in `text` (see `offsets.pieces`)."""
        return offsets.pieces(self.tokenizer, ids, text, before)

    def _rendered(self, messages: Sequence[dict[str, str]], generation_prompt: bool = True) -> str:
        """The conversation as text, each control token that the template wrote under its secret name."""
        control = self.tokenizer.control
        if not control.are_in(text for message in messages for text in message.values()):
            return control.named(self._template.render(messages, generation_prompt=generation_prompt))
        broken, mark = control.broken_up(messages)
        return control.named(self._template.render(broken, generation_prompt=generation_prompt)).replace(mark, "")


def _valid(text: str) -> str:
    if _LONE_SURROGATE.search(text):
        raise BadInput("the text is no valid Unicode: it has a lone surrogate")
    return text
