"""How one chat template writes prompts and answers, as text with control tokens under their secret names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tokenreward.chat_format.answer_text import AnswerReader, AnswerText, has_thought_tags
from tokenreward.chat_format.chat_tokenizer import ChatTokenizer
from tokenreward.chat_format.messages import Conversation
from tokenreward.chat_format.named_template import NamedTemplate
from tokenreward.chat_format.shapes import Shape, only_text
from tokenreward.chat_format.template import ChatTemplate
from tokenreward.chat_format.trajectory import TrajectoryText, TurnText, refused
from tokenreward.chat_format.trajectory_reading import TurnFinder
from tokenreward.chat_format.turn import Turn, read_turn
from tokenreward.errors import BadInput

#: Shapes of conversations whose turns are remembered: files have few, and each costs a handful of renderings.
_SHAPES = 512


class Writing:
    """Prompts and answers by one chat template.

    Args:
        template: The template.
        tokenizer: The model's tokenizer.
        eos: The id that ends a turn if the template writes nothing there.
    """

    def __init__(self, template: ChatTemplate, tokenizer: ChatTokenizer, eos: int | None) -> None:
        self._template = NamedTemplate(template, tokenizer.control)
        self._tokenizer = tokenizer
        self._eos = eos
        self._reader = AnswerReader(self._template, tokenizer, eos)
        self._of_shape = lru_cache(_SHAPES)(self._turn_of_shape)

    def prompt(self, conversation: Conversation, *, answered: bool) -> str:
        """The prompt, which ends where the response begins.

        Args:
            conversation: What is asked.
            answered: Whether the response comes as text. If not, the whole generation prompt belongs to the prompt.

        Raises:
            BadInput: The template refuses the conversation.
        """
        prompt = self._template.prompt(conversation)
        return prompt.removesuffix(self._turn(conversation, prompt).dropped) if answered else prompt

    def answer(self, conversation: Conversation, answer: Mapping[str, Any], *, finished: bool) -> AnswerText:
        """The answer as the template writes it.

        Raises:
            BadInput: The template refuses the conversation, or leaves out or rewrites some of the answer.
        """
        text = answer.get("content")
        if len(answer) == 2 and isinstance(text, str) and text and text.strip() == text:
            turn = self._known(conversation)
            if turn is not None and turn.verbatim and not (self._template.looks_for(text) or has_thought_tags(text)):
                return self._reader.as_it_is(turn, text, finished)
        prompt = self._template.prompt(conversation)
        turn = self._turn(conversation, prompt)
        if turn.refusal:
            raise BadInput(turn.refusal)
        whole = self._template.whole(conversation, answer)
        return self._reader.read(turn, prompt.removesuffix(turn.dropped), whole, answer, finished)

    def trajectory(self, head: Conversation, said: Sequence[Mapping[str, Any]], *, finished: bool) -> TrajectoryText:
        """A conversation of which every assistant's turn behind `head` is scored.

        Args:
            head: The conversation before the first of these turns.
            said: The messages from there on, the last one an assistant's.
            finished: Whether what ends the last turn belongs to it.

        Raises:
            BadInput: The template refuses the conversation, or writes a turn otherwise once more has been said.
        """
        turn = self._turn(head, self._template.prompt(head))
        if turn.refusal:
            raise BadInput(turn.refusal)
        finder = TurnFinder(self._template, self._tokenizer, self._reader, head, said, turn)
        turns = finder.earlier()
        before = finder.before(len(said) - 1)
        try:
            start = len(self.prompt(before, answered=True))
            answer = self.answer(before, said[-1], finished=finished)
        except BadInput as error:
            raise refused(len(turns), str(error)) from None
        if not finder.whole.startswith(answer.text, start):
            raise refused(len(turns), "the model's chat template leaves out or rewrites some of it")
        turns.append(TurnText(start, start + len(answer.text), answer))
        return TrajectoryText(finder.whole[: turns[-1].end], finder.first(turns[0].start), tuple(turns))

    def whole(self, conversation: Conversation, answer: Mapping[str, Any]) -> str:
        """The conversation with its answer, to its end.

        Raises:
            BadInput: The template refuses it.
        """
        return self._template.whole(conversation, answer)

    def _known(self, conversation: Conversation) -> Turn | None:
        """The turn after a conversation in whose texts there is nothing that the template looks for; else None."""
        if not only_text(conversation) or any(self._template.looks_for(m["content"]) for m in conversation.messages):
            return None
        return self._of_shape(Shape.of(conversation))

    def _turn(self, conversation: Conversation, prompt: str) -> Turn:
        """The turn after any conversation, by the example of its shape where the example holds for it."""
        turn = self._of_shape(Shape.of(conversation))
        if turn is not None and not turn.refusal and prompt.endswith(turn.dropped):
            return turn
        return read_turn(self._template, self._tokenizer, conversation, self._eos)

    def _turn_of_shape(self, shape: Shape) -> Turn | None:
        try:
            return read_turn(self._template, self._tokenizer, shape.example(), self._eos)
        except BadInput:  # this conversation may be refused where others of its shape are not
            return None
