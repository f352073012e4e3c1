"""One model's chat format: its tokenizer and its chat template, from conversations to token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenreward.chat_format import offsets
from tokenreward.chat_format.answer_text import AnswerText
from tokenreward.chat_format.chat_tokenizer import ChatTokenizer
from tokenreward.chat_format.messages import Conversation, Prompt, answer_message, answer_of, said_of
from tokenreward.chat_format.template import ChatTemplate, plain_template
from tokenreward.chat_format.template_hash import template_hash
from tokenreward.chat_format.tokenizer_hash import tokenizer_hash
from tokenreward.chat_format.trajectory import Trajectory, answer_pieces, tokenized
from tokenreward.chat_format.writing import Writing
from tokenreward.errors import BadInput
from tokenreward.schema import Item

_QUESTION = Conversation([{"role": "user", "content": "a"}])


@dataclass(frozen=True, slots=True)
class PromptText:
    """A prompt as the text that is tokenized for it.

    Attributes:
        text: The rendered conversation up to where the response begins, control tokens under their secret names.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """A prompt and its response as token ids.

    Attributes:
        prompt: The ids up to where the response begins.
        response: The response's ids.
        answer: The response as text; None if it came as token ids.
        turns: For an item whose turns are all scored, the number of the turn that each of the response's ids belongs
            to, and -1 between the turns.
    """

    prompt: list[int]
    response: list[int]
    answer: AnswerText | Trajectory | None
    turns: list[int] | None = None


class ChatFormat:
    """Prompts and answers as the token ids of one model.

    Safe to share between threads.

    Args:
        serialized: The JSON of the model's `tokenizers.Tokenizer`.
        chat_template: The jinja2 source, several by their names (`default` and, for conversations with tools,
            `tool_use`), or None for a model without a chat template. Such a model reads every message as it is, with an
            empty line after it.
        special_tokens: The special tokens by their role, for example `{"bos_token": "<s>", "eos_token": "</s>"}`.

    Attributes:
        tokenizer: Text to ids and back, control tokens by their secret name only.
        chat_template: The jinja2 source that is in use, the default one if there are several.
        templates: All sources that are in use, by their names.
        template_hash: Of the chat templates and what they write; see `template_hash`.

    Raises:
        BadInput: The tokenizer or a template cannot be used.
    """

    def __init__(
        self, serialized: str, chat_template: str | Mapping[str, str] | None, special_tokens: dict[str, str]
    ) -> None:
        self.tokenizer = ChatTokenizer(serialized)
        named = chat_template if isinstance(chat_template, Mapping) else {"default": chat_template}
        default = named["default"] or plain_template(serialized, special_tokens)
        self.templates = {"default": default} | {k: v for k, v in named.items() if k == "tool_use" and v}
        self.chat_template = default
        others = {name: source for name, source in named.items() if name != "default" and source}
        self.template_hash = template_hash(default, special_tokens, others)
        eos = self.tokenizer.control.ids.get(special_tokens.get("eos_token", ""))
        self._writing = {
            name: Writing(ChatTemplate(source, special_tokens), self.tokenizer, eos)
            for name, source in self.templates.items()
        }

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
        template = tokenizer.chat_template
        if isinstance(template, dict) and "default" not in template:
            names = ", ".join(sorted(template))
            raise BadInput(f"the tokenizer has several chat templates ({names}), and none is called `default`")
        special = {role: text for role, text in tokenizer.special_tokens_map.items() if isinstance(text, str)}
        return cls(tokenizer.backend_tokenizer.to_str(), template, special)

    @cached_property
    def hash(self) -> str:
        """The tokenizer's hash: labels belong to tokenizers with the same one (see `tokenizer_hash`)."""
        return tokenizer_hash(self.tokenizer.serialized)

    @cached_property
    def end_of_turn(self) -> int | None:
        """The token that ends a turn; None if a text of several tokens does, or nothing."""
        try:
            last = self.answer_ids("a")[-1]
        except BadInput:
            return None
        return last if last in self.tokenizer.added_ids else None

    def completion(self, item: Item) -> Completion:
        """A prompt and its response as ids, as workers score them and the trainer trains on them.

        Raises:
            BadInput: The item cannot be written by the chat template.
        """
        if item.score == "all":
            whole = self.trajectory(item)
            return Completion(whole.prompt_ids, whole.ids, whole, whole.turns)
        conversation = Conversation.of_item(item)
        prompt = self.prompt(conversation, answered=item.token_ids is None)
        if item.token_ids is not None:
            return Completion(self.ids([prompt])[0], list(item.token_ids), None)
        answer = self.answer(answer_of(item), conversation, finished=item.finished)
        asked, said = self.ids([prompt, answer])
        return Completion(asked, said, answer)

    def prompt_ids(self, prompt: Prompt | Conversation, *, answered: bool = False) -> list[int]:
        """The ids of a prompt.

        Args:
            prompt: The user's text, a conversation's messages, or a whole conversation.
            answered: Whether a response follows that comes as text. A prompt for sampling, or for a response in token
                ids, ends with the whole generation prompt. Before a text it may be shorter, where the chat template
                writes the conversation otherwise once it is answered.

        Raises:
            BadInput: The chat template refuses the conversation, a role is unknown, the last message is the
                assistant's, or the text is no valid Unicode.
        """
        return self.ids([self.prompt(prompt, answered=answered)])[0]

    def answer_ids(
        self, answer: str | Mapping[str, Any], prompt: Prompt | Conversation = _QUESTION, *, finished: bool = True
    ) -> list[int]:
        """The ids of an answer that does not exist as ids.

        They are what the chat template writes for it after the prompt, up to and including what ends the turn.

        Args:
            answer: The answer's text, or an assistant's message.
            prompt: What it answers. Nearly every template writes the same answer after every prompt.
            finished: False leaves out what ends the turn.

        Raises:
            BadInput: The chat template leaves out or rewrites some of the answer, or the text is no valid Unicode.
        """
        return self.ids([self.answer(answer, prompt, finished=finished)])[0]

    def prompt(self, prompt: Prompt | Conversation, *, answered: bool = False) -> PromptText:
        """The first half of `prompt_ids`, for callers that tokenize many texts with one call of `ids`."""
        conversation = _conversation(prompt)
        return PromptText(self._writing_of(conversation).prompt(conversation, answered=answered))

    def answer(
        self, answer: str | Mapping[str, Any], prompt: Prompt | Conversation = _QUESTION, *, finished: bool = True
    ) -> AnswerText:
        """The first half of `answer_ids`, for callers that tokenize many texts with one call of `ids`."""
        conversation = _conversation(prompt)
        return self._writing_of(conversation).answer(conversation, answer_message(answer), finished=finished)

    def trajectory(self, item: Item) -> Trajectory:
        """The ids of an item of which all of the assistant's turns are scored, and the turn of each.

        Raises:
            BadInput: The chat template cannot write the conversation, or writes a turn otherwise once more has been
                said (it leaves out earlier thoughts, for one).
        """
        head = Conversation.of_item(item)
        read = self._writing_of(head).trajectory(head, said_of(item), finished=item.finished)
        return tokenized(self.tokenizer, read)

    def ids(self, texts: Sequence[PromptText | AnswerText]) -> list[list[int]]:
        """The ids of each text, in order. One call tokenizes them in parallel."""
        plain = [text.anchored if isinstance(text, AnswerText) else text.text for text in texts]
        return [
            self._of_answer(text, anchored, ids) if isinstance(text, AnswerText) else ids
            for text, anchored, ids in zip(texts, plain, self.tokenizer.encode(plain), strict=True)
        ]

    def whole_ids(self, prompt: Prompt | Conversation, answer: str | Mapping[str, Any]) -> list[int]:
        """The ids of a whole conversation with its answer, as the chat template writes it to its end.

        Raises:
            BadInput: See `prompt_ids`.
        """
        conversation = _conversation(prompt)
        return self.tokenizer.encode([self._writing_of(conversation).whole(conversation, answer_message(answer))])[0]

    def pieces(
        self, ids: Sequence[int], answer: AnswerText | Trajectory | str
    ) -> tuple[list[str], list[tuple[int, int]]]:
        """Each token's own text, and its characters in the response's text (see `offsets.pieces`).

        Args:
            ids: A response's token ids.
            answer: What they were made of; or, if they came as ids, their text.
        """
        if isinstance(answer, str):
            return offsets.pieces(self.tokenizer, ids, answer)
        if isinstance(answer, Trajectory):
            return answer.pieces(self.tokenizer)
        return answer_pieces(self.tokenizer, ids, answer)

    def _of_answer(self, answer: AnswerText, anchored: str, encoded: list[int]) -> list[int]:
        ids = answer.anchor.ids(self.tokenizer, encoded, anchored)
        return ids if answer.eos is None else [*ids, answer.eos]

    def _writing_of(self, conversation: Conversation) -> Writing:
        """By the template for tools if the conversation has tools and there is one: transformers' rule."""
        return self._writing["tool_use" if conversation.tools and "tool_use" in self._writing else "default"]


def _conversation(prompt: Prompt | Conversation) -> Conversation:
    return prompt if isinstance(prompt, Conversation) else Conversation.of(prompt)
