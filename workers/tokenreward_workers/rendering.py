"""From an item to token ids: render the branches, apply the chat template, tokenize, split off the shared prefix.

The response is tokenized on its own, so that its ids are the same under every branch: what the chat template
puts after the generation prompt, up to and including the end-of-turn token (an unfinished response goes
without that token). Ids sent by the caller are used untouched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jinja2

from tokenreward import templates
from tokenreward.chat_format.chat_tokenizer import ChatTokenizer
from tokenreward.chat_format.end_of_turn import _ANSWER, _turn
from tokenreward.chat_format.offsets import pieces
from tokenreward.schema import Item, ItemFailure, Message, Template
from tokenreward_workers.scoring import Scoring

#: Roles end up inside control tokens (`<|` + role + `|>`), so they are names we know, not text.
_ROLES = frozenset({"system", "developer", "user", "assistant", "model", "tool", "function", "ipython"})

#: No vocabulary has longer tokens (runs of spaces are the longest): what has more cannot fit, and is not even rendered.
_CHARACTERS_PER_TOKEN = 256

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Prepared:
    """One item, ready for an engine.

    text: the response's text, which offsets refer to (of an item that came as ids: their decoded form).
    before: how many characters the chat template itself puts before the text (usually none).
    """

    scoring: Scoring
    text: str
    before: int = 0

    @property
    def response_ids(self) -> tuple[int, ...]:
        return self.scoring.response


class Renderer:
    """Prepares items for one model. Safe to call from several threads.

    max_tokens: of prompt + response.  vocabulary: ids are in [0, vocabulary).
    """

    def __init__(self, tokenizer: ChatTokenizer, max_tokens: int, vocabulary: int) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.vocabulary = vocabulary
        self._takes_system = _takes_system(tokenizer)
        self._turn = _turn(tokenizer)

    def prepare(
        self, items: Sequence[Item], template: Template, branches: Sequence[str]
    ) -> list[Prepared | ItemFailure]:
        """Each item as the engine wants it, or why it cannot be scored; in the order of `items`.

        `branches` are the names of `template`'s branches to score (an estimator's). One call tokenizes all
        its items together: give it a whole shard.
        """
        missing = [name for name in branches if name not in template.branches]
        if missing:
            problem = ItemFailure(
                code="bad_template", message=f"template {template.name!r} has no branch {missing[0]!r}"
            )
            return [problem] * len(items)
        template = template.model_copy(update={"branches": {name: template.branches[name] for name in branches}})
        texts: list[str] = []
        outcomes = [self._laid_out(item, template, texts) for item in items]
        ids = iter(self.tokenizer.encode(texts))
        return [out if isinstance(out, ItemFailure) else self._assembled(out, branches, ids) for out in outcomes]

    def pieces(self, prepared: Prepared) -> tuple[list[str], list[tuple[int, int]]]:
        """Each response token's text, and its [start, end) characters in `prepared.text`."""
        return pieces(self.tokenizer, prepared.response_ids, prepared.text, prepared.before)

    def _laid_out(self, item: Item, template: Template, texts: list[str]) -> _LaidOut | ItemFailure:
        """Checks the item, and appends to `texts` what is to be tokenized for it."""
        if not isinstance(item.prompt, str) and (odd := next((m for m in item.prompt if m.role not in _ROLES), None)):
            message = f"the role {odd.role!r} is none of {', '.join(sorted(_ROLES))}"
            return ItemFailure(code="invalid_item", message=message)
        text = item.response
        if item.token_ids is not None:
            outside = next((t for t in item.token_ids if not 0 <= t < self.vocabulary), None)
            if outside is not None:
                message = f"token id {outside} is outside the model's vocabulary of {self.vocabulary}"
                return ItemFailure(code="token_out_of_vocabulary", message=message)
            text = self.tokenizer.decode(item.token_ids)
        assert text is not None
        longest = max(templates.lengths(template, item, response=text).values())
        if longest > _CHARACTERS_PER_TOKEN * self.max_tokens:
            message = f"the template makes {longest} characters of this item, the model takes {self.max_tokens} tokens"
            return ItemFailure(code="too_long", message=message)
        try:
            chats = templates.render(template, item, response=text)
            rendered = [self.tokenizer.render(self._fitting(chat)) for chat in chats.values()]
        except jinja2.TemplateError as error:
            return ItemFailure(code="invalid_item", message=f"the model's chat template refuses this prompt: {error}")
        if any(_LONE_SURROGATE.search(part) for part in (*rendered, text)):
            return ItemFailure(code="invalid_item", message="the text is no valid Unicode: it has a lone surrogate")
        texts += rendered
        if item.token_ids is None:
            texts.append(self._answer(item, text))
        return _LaidOut(item, text)

    def _answer(self, item: Item, text: str) -> str:
        """What is tokenized for a response that came as text."""
        turn = self._turn
        return turn.anchor + turn.before + text + (turn.after if item.finished else "")

    def _assembled(
        self, laid_out: _LaidOut, branches: Sequence[str], ids: Iterator[list[int]]
    ) -> Prepared | ItemFailure:
        prompts: dict[str, Sequence[int]] = {name: next(ids) for name in branches}
        item, turn = laid_out.item, self._turn
        before = 0
        if item.token_ids is not None:
            response = list(item.token_ids)
        else:
            response = turn.ids(self.tokenizer, next(ids), self._answer(item, laid_out.text))
            before = len(turn.before)
            if item.finished and turn.end is not None:
                response.append(turn.end)
        if not response or not all(prompts.values()):
            return ItemFailure(code="invalid_item", message="nothing is left of the text once it is tokenized")
        scoring = Scoring.of(prompts, response)
        if scoring.longest > self.max_tokens:
            message = f"prompt and response are {scoring.longest} tokens, the model takes {self.max_tokens}"
            return ItemFailure(code="too_long", message=message)
        return Prepared(scoring, laid_out.text, before)

    def _fitting(self, chat: Sequence[Message]) -> list[dict[str, str]]:
        """The chat as the template's input; a model without a system role gets its text in the first user turn."""
        messages = [{"role": message.role, "content": message.content} for message in chat]
        if self._takes_system or messages[0]["role"] != "system" or len(messages) < 2 or messages[1]["role"] != "user":
            return messages
        system, first, *rest = messages
        return [{"role": "user", "content": system["content"] + "\n\n" + first["content"]}, *rest]


@dataclass(frozen=True, slots=True)
class _LaidOut:
    """An item whose texts are queued for tokenization."""

    item: Item
    text: str


def _takes_system(tokenizer: ChatTokenizer) -> bool:
    """Whether the chat template has a place for a system message (Gemma's raises, others drop it)."""
    chat = [{"role": "system", "content": _ANSWER}, {"role": "user", "content": "a"}]
    try:
        return _ANSWER in tokenizer.render(chat)
    except jinja2.TemplateError:
        return False
