"""From an item to what an engine scores: one chat for each branch of the template, and the ids of the response.

What the response is, is read off the item's own conversation, and it is tokenized apart from that. So its ids are the
same under every branch. Which ids a chat and a response are is decided by `tokenreward.chat_format`, for the trainer as
well. Ids sent by the caller are used untouched. The model's limits are checked here, and an item that cannot be scored
fails alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tokenreward import templates
from tokenreward.chat_format import ChatFormat
from tokenreward.chat_format.answer_text import AnswerText
from tokenreward.chat_format.chat_format import PromptText
from tokenreward.chat_format.messages import Conversation, answer_of
from tokenreward.chat_format.trajectory import Trajectory
from tokenreward.errors import BadInput
from tokenreward.protocol.ids_item import IdsItem
from tokenreward.schema import ContextValue, Item, ItemFailure, Template
from tokenreward.schema.contexts import check_spans
from tokenreward_workers.scoring import Adapter, Scoring

#: No vocabulary has longer tokens (runs of spaces are the longest). A text with more cannot fit and is not rendered.
_CHARACTERS_PER_TOKEN = 256


@dataclass(frozen=True, slots=True)
class Prepared:
    """One item, ready for an engine.

    Attributes:
        scoring: The prompts and the response as ids.
        answer: The response as text; for an item that came as ids their decoded form; of an item whose turns are all
            scored, the turns.
        context: The item's context fields, for estimators that read them.
        spans: The item's own segments, in characters of the text.
    """

    scoring: Scoring
    answer: AnswerText | Trajectory | str
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    spans: Sequence[tuple[int, int]] = ()

    @property
    def text(self) -> str:
        """The response's text, which offsets refer to."""
        return self.answer if isinstance(self.answer, str) else self.answer.own

    @property
    def turns(self) -> Sequence[int] | None:
        """The number of the turn that each response token belongs to, -1 for none; None where only one is scored."""
        return self.answer.turns if isinstance(self.answer, Trajectory) else None

    @property
    def response_ids(self) -> tuple[int, ...]:
        """The response's token ids, one for each reward."""
        return self.scoring.response


class Renderer:
    """Prepares items for one model. It is safe to call from several threads.

    Args:
        chat: The model's chat format.
        max_tokens: The limit of prompt and response together.
        vocabulary: Ids are in `[0, vocabulary)`. It is the model's number, which may be larger than the tokenizer's.
    """

    def __init__(self, chat: ChatFormat, max_tokens: int, vocabulary: int) -> None:
        self.chat = chat
        self.max_tokens = max_tokens
        self.vocabulary = vocabulary

    def prepare(
        self,
        items: Sequence[Item | IdsItem],
        template: Template,
        branches: Sequence[str],
        most: Mapping[str, int] | None = None,
        adapters: Mapping[str, Adapter] | None = None,
    ) -> list[Prepared | ItemFailure]:
        """Prepares each item as the engine wants it, or says why it cannot be scored.

        Args:
            items: One call tokenizes all its items together, so give it a whole shard.
            template: The template that makes an item's chats.
            branches: The names of the template's branches to score: an estimator's. Without any, an item is only
                tokenized.
            most: The most repetitions of a branch, by its name.
            adapters: The adapter that scores a branch and its repetitions, by its name.

        Returns:
            One outcome for each item, in the order of `items`.
        """
        missing = [name for name in branches if name not in template.branches]
        if missing:
            message = f"template {template.name!r} has no branch {missing[0]!r}"
            return [ItemFailure(code="bad_template", message=message)] * len(items)
        shown = _Shown(template, branches, most or {}, adapters or {})
        outcomes = [
            self._of_ids(item, shown) if isinstance(item, IdsItem) else self._laid_out(item, shown) for item in items
        ]
        ids = iter(self.chat.ids([text for out in outcomes if isinstance(out, _LaidOut) for text in out.texts]))
        return [self._assembled(out, ids, shown) if isinstance(out, _LaidOut) else out for out in outcomes]

    def pieces(self, prepared: Prepared) -> tuple[list[str], list[tuple[int, int]]]:
        """Each response token's text, and its `[start, end)` in characters of `prepared.text`."""
        return self.chat.pieces(prepared.response_ids, prepared.answer)

    def _of_ids(self, item: IdsItem, shown: _Shown) -> Prepared | ItemFailure:
        """Prepares an item that has its ids already. It has no text that estimators could read."""
        scoring = self._scoring(dict.fromkeys(shown.branches, item.prompt_ids), item.token_ids, shown, "of this item")
        return scoring if isinstance(scoring, ItemFailure) else Prepared(scoring, "")

    def _laid_out(self, item: Item, shown: _Shown) -> _LaidOut | ItemFailure:
        """Checks the item and renders its chats."""
        try:
            own = Conversation.of_item(item)
        except BadInput as error:
            return ItemFailure(code="invalid_item", message=str(error))
        decoded = None
        if item.token_ids is not None:
            if failure := self.outside(item.token_ids, "of this item"):
                return failure
            decoded = self.chat.tokenizer.decode(item.token_ids)
        answered = decoded is None
        try:
            longest = shown.longest(item, decoded)
            if longest > _CHARACTERS_PER_TOKEN * self.max_tokens:
                limit = f"the model takes {self.max_tokens} tokens"
                message = f"the template makes {longest} characters of this item, {limit}"
                return ItemFailure(code="too_long", message=message)
            chats = shown.chats(item, own, decoded)
            answer = self._answer(item, own) if decoded is None else decoded
            prompts = {
                name: PromptText(answer.prompt)
                if chat is own and isinstance(answer, Trajectory)
                else self.chat.prompt(chat, answered=answered)
                for name, chat in chats.items()
            }
            if item.spans is not None:
                check_spans(item.spans, len(answer if isinstance(answer, str) else answer.own))
            return _LaidOut(item, prompts, answer)
        except (BadInput, ValueError) as error:
            return ItemFailure(code="invalid_item", message=str(error))

    def _answer(self, item: Item, own: Conversation) -> AnswerText | Trajectory:
        if item.score == "all":
            return self.chat.trajectory(item)
        return self.chat.answer(answer_of(item), own, finished=item.finished)

    def _assembled(self, laid_out: _LaidOut, ids: Iterator[list[int]], shown: _Shown) -> Prepared | ItemFailure:
        """Takes the item's ids off `ids`, and checks that they fit."""
        prompts: dict[str, Sequence[int]] = {name: next(ids) for name in laid_out.prompts}
        given = laid_out.given
        response = next(ids) if given is None else list(given)
        if not response or not all(prompts.values()):
            return ItemFailure(code="invalid_item", message="nothing is left of the text once it is tokenized")
        scoring = self._scoring(prompts, response, shown, "that the tokenizer makes of this item's text")
        if isinstance(scoring, ItemFailure):
            return scoring
        item = laid_out.item
        return Prepared(scoring, laid_out.answer, item.context or {}, item.spans or ())

    def _scoring(
        self, prompts: dict[str, Sequence[int]], response: Sequence[int], shown: _Shown, origin: str
    ) -> Scoring | ItemFailure:
        """What an engine scores, if the model takes it. `origin` says where the ids are from."""
        for part in (*prompts.values(), response):
            if failure := self.outside(part, origin):
                return failure
        scoring = Scoring.of(prompts, response, adapters=shown.adapters_of(prompts))
        if scoring.longest > self.max_tokens:
            message = f"prompt and response are {scoring.longest} tokens, the model takes {self.max_tokens}"
            return ItemFailure(code="too_long", message=message)
        return scoring

    def outside(self, ids: Sequence[int], origin: str) -> ItemFailure | None:
        """Return the failure of ids that the model does not have, of which one would end the engine; else None.

        Args:
            ids: At least one.
            origin: Where they are from, for the message.
        """
        if max(ids) < self.vocabulary and min(ids) >= 0:
            return None
        number = next(number for number in ids if not 0 <= number < self.vocabulary)
        name = self.chat.tokenizer.token(number)
        message = (
            f"token id {number}{f' ({name!r})' if name else ''} {origin} is outside the model's vocabulary of "
            f"{self.vocabulary}"
        )
        return ItemFailure(code="token_out_of_vocabulary", message=message)


@dataclass(frozen=True, slots=True)
class _LaidOut:
    """An item whose texts are ready to be tokenized: its branches' prompts, and its answer.

    The answer is text if it came as ids, and tokenized already if all of its turns are scored.
    """

    item: Item
    prompts: dict[str, PromptText]
    answer: AnswerText | Trajectory | str

    @property
    def texts(self) -> list[PromptText | AnswerText]:
        return [*self.prompts.values(), *([self.answer] if isinstance(self.answer, AnswerText) else [])]

    @property
    def given(self) -> Sequence[int] | None:
        """The response's ids where they are known already."""
        return self.answer.ids if isinstance(self.answer, Trajectory) else self.item.token_ids


@dataclass(frozen=True, slots=True)
class _Shown:
    """What an estimator has shown of a template: the branches, how often each is repeated at most, and to whom."""

    template: Template
    branches: Sequence[str]
    most: Mapping[str, int]
    adapters: Mapping[str, Adapter]

    def adapters_of(self, names: Iterable[str]) -> dict[str, Adapter]:
        """The adapter of each branch or repetition that has one."""
        own = {name: self.adapters.get(name.partition("[")[0]) for name in names} if self.adapters else {}
        return {name: adapter for name, adapter in own.items() if adapter is not None}

    def longest(self, item: Item, decoded: str | None) -> int:
        """Characters of the longest branch."""
        lengths = templates.lengths(self.template, item, response=decoded, branches=self.branches, most=self.most)
        return max(lengths.values(), default=0)

    def chats(self, item: Item, own: Conversation, decoded: str | None) -> dict[str, Conversation]:
        """The conversation of each branch. The switches of the chat template are the item's in all of them."""
        chats = templates.render(self.template, item, response=decoded, branches=self.branches, most=self.most)
        return {
            name: own
            if self.template.branches[name.partition("[")[0]].conversation
            else Conversation([message.model_dump() for message in chat], None, own.kwargs)
            for name, chat in chats.items()
        }
