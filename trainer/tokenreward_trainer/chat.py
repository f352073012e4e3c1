"""From messages to the policy's own prompt ids: its chat template and tokenizer, no control token out of user text.

The labeling worker does the same for the prompts it scores; completions that were labeled come with their ids and are
never tokenized again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jinja2
from transformers import PreTrainedTokenizerBase

from tokenreward.errors import BadInput
from tokenreward.tokenizer_hash import tokenizer_hash

Prompt = str | Sequence[dict[str, str]]

#: For models without a chat template: every message as it is, an empty line after it.
_PLAIN = "{{ bos_token or '' }}{% for message in messages %}{{ message['content'] + '\n\n' }}{% endfor %}"
#: Stands for an answer where the template's text around it is looked for.
_ANSWER = "qzANSWERzq"
#: Inside look-alikes of control tokens, until they are tokenized as text. A private-use character.
_INERT = "\U000f5ec0"


class ChatFormat:
    """Prompts and answers as one tokenizer's ids. Raises BadInput for what its chat template refuses."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise BadInput(f"{type(tokenizer).__name__} has no fast version, which training on token ids needs")
        self._tokenizer = tokenizer
        self._template = None if tokenizer.chat_template else _PLAIN
        added = tokenizer.added_tokens_decoder.items()
        self._special = {token.content: int(number) for number, token in added if token.special and token.content}
        longest_first = sorted(self._special, key=len, reverse=True)
        self._control = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")" if longest_first else "(?!)")
        self._takes_system = self._has_place_for_system()

    @property
    def hash(self) -> str:
        """What labels must have been made with: see `tokenizer_hash`."""
        return tokenizer_hash(self._tokenizer.backend_tokenizer.to_str())

    @property
    def vocabulary(self) -> int:
        return len(self._tokenizer)

    def prompt(self, prompt: Prompt) -> list[int]:
        """Ids up to and including the generation prompt."""
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt]
        if not self._takes_system and len(messages) > 1 and [m["role"] for m in messages[:2]] == ["system", "user"]:
            first = {"role": "user", "content": messages[0]["content"] + "\n\n" + messages[1]["content"]}
            messages = [first, *messages[2:]]
        return self._encode(self._render([{**m, "content": self._inert(m["content"])} for m in messages]))

    def answer(self, text: str, *, finished: bool = True) -> list[int]:
        """Ids of an answer in text form: what follows the generation prompt, the end-of-turn token included.

        finished: False leaves that token out, and what the template puts before it.
        Only for pairs that were never labeled: a label's ids are the completion.
        """
        question = [{"role": "user", "content": "a"}]
        start = self._render(question)
        whole = self._render([*question, {"role": "assistant", "content": _ANSWER}], generation_prompt=False)
        if not whole.startswith(start):  # The template writes the prompt differently once it is answered.
            start, whole = "", whole[whole.index(_ANSWER) :]
        before, _, rest = whole[len(start) :].partition(_ANSWER)
        end = self._control.search(rest)
        after = rest[: end.start()] if end and finished else ""
        end_id = self._special[end[0]] if end else self._tokenizer.eos_token_id
        prompt_ids = self._encode(start)
        ids = self._encode(start + before + self._inert(text) + after)
        # Tokenized behind its prompt, so that no tokenizer takes it for the start of a text.
        ids = ids[len(prompt_ids) :] if ids[: len(prompt_ids)] == prompt_ids else self._encode(self._inert(text))
        return ids if end_id is None or not finished else [*ids, end_id]

    def _render(self, messages: list[dict[str, str]], *, generation_prompt: bool = True) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, chat_template=self._template, add_generation_prompt=generation_prompt, tokenize=False
                )
            )
        except (jinja2.TemplateError, ValueError) as error:
            raise BadInput(f"the policy's chat template refuses this prompt: {error}") from None

    def _has_place_for_system(self) -> bool:
        """Gemma's template raises at a system message, others drop it."""
        chat = [{"role": "system", "content": _ANSWER}, {"role": "user", "content": "a"}]
        try:
            return _ANSWER in self._render(chat)
        except BadInput:
            return False

    def _inert(self, text: str) -> str:
        """Look-alikes of control tokens, broken up until `_encode` has told them from the template's own."""
        return self._control.sub(lambda found: found[0][0] + _INERT + found[0][1:], text)

    def _encode(self, rendered: str) -> list[int]:
        if _INERT not in rendered:
            return self._ids(rendered)
        ids: list[int] = []
        for piece in self._control.split(rendered):
            if piece in self._special:
                ids.append(self._special[piece])
            elif piece:
                ids += self._ids(piece.replace(_INERT, ""), split_special_tokens=True)
        return ids

    def _ids(self, text: str, **options: Any) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False, **options)["input_ids"])
