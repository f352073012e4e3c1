"""Finding an assistant's turns in what the chat template makes of the whole conversation, by rendering its prefixes.

A turn begins where the conversation before it, with the generation prompt, ends; and it must end there in the whole
conversation as well. What the turn is, is read off the conversation that ends with it, and looked for at that place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tokenreward.chat_format.answer_text import AnswerReader, AnswerText
from tokenreward.chat_format.chat_tokenizer import ChatTokenizer
from tokenreward.chat_format.messages import Conversation
from tokenreward.chat_format.named_template import NamedTemplate
from tokenreward.chat_format.trajectory import TurnText, refused
from tokenreward.chat_format.turn import Turn, alike, token_end, unprompted
from tokenreward.errors import BadInput
from tokenreward.schema.messages import ASSISTANT

#: What a template writes before the last answer only, such as an empty thought, is at most so long.
_MOST_BEFORE = 256
#: So many characters are compared before a place is tried; control tokens' secret names begin alike.
_TRIED = 48
_REWRITTEN = "the model's chat template writes what stands before it otherwise once more has been said"

_LEFT_OUT = "the model's chat template leaves out or rewrites some of it once more has been said (a thought, for one)"


class TurnFinder:
    """Finds the turns of one conversation.

    Args:
        template: The model's chat template.
        tokenizer: The model's tokenizer.
        reader: Reads an answer.
        head: The conversation before the first turn that is scored.
        said: The messages from there on, the last one an assistant's.
        turn: What surrounds an answer to `head`.

    Raises:
        BadInput: The template refuses the conversation.
    """

    def __init__(
        self,
        template: NamedTemplate,
        tokenizer: ChatTokenizer,
        reader: AnswerReader,
        head: Conversation,
        said: Sequence[Mapping[str, Any]],
        turn: Turn,
    ) -> None:
        self._template, self._tokenizer, self._reader = template, tokenizer, reader
        self._head, self._said, self._turn = head, said, turn
        #: The whole conversation.
        self.whole = template.whole(self.before(len(said) - 1), said[-1])
        prompt = template.prompt(head)
        self._opening = prompt[alike(prompt, unprompted(template, head, prompt)) :]

    def before(self, number: int) -> Conversation:
        """The conversation before a message of `said`."""
        messages = [*self._head.messages, *self._said[:number]]
        return Conversation(messages, self._head.tools, self._head.kwargs)

    def earlier(self) -> list[TurnText]:
        """All turns but the last one.

        Raises:
            BadInput: The template writes one of them, or what stands before it, otherwise in the whole conversation.
        """
        found: list[TurnText] = []
        for number, message in enumerate(self._said[:-1]):
            if message["role"] in ASSISTANT:
                start = self._start(number, len(found))
                answer = self._answer(number, start, len(found))
                found.append(TurnText(start, start + len(answer.text), answer))
        return found

    def first(self, start: int) -> int:
        """Where the prompt ends: at `start`, or before it, so that a token ends there in the whole conversation.

        Args:
            start: Where the first turn begins.
        """
        least = max(0, start - len(self._opening))
        return token_end(self._tokenizer, self.whole[:start], least, start, [self.whole])

    def _start(self, number: int, turn: int) -> int:
        prompt = self._template.prompt(self.before(number))
        cut = prompt.removesuffix(self._turn.dropped)
        if self.whole.startswith(cut):
            return len(cut)
        # Part of the generation prompt, such as an empty thought, may be there for the last answer only.
        least = len(prompt) - len(self._opening) if prompt.endswith(self._opening) else len(prompt)
        shared = self._tokenizer.control.whole(prompt, alike(prompt, self.whole))
        if shared < least:
            raise refused(turn, _REWRITTEN)
        # Where an answer happens to begin with the same letters as what is left out, they are the answer's.
        while shared > least and not (prompt[shared - 1].isspace() or prompt[shared - 1] == "\ue001"):
            shared -= 1
        return shared

    def _answer(self, number: int, start: int, turn: int) -> AnswerText:
        """The turn as it stands in the whole conversation, with what ends it."""
        message, prompt = self._said[number], self.whole[:start]
        alone = self._template.whole(self.before(number), message)
        if not alone.startswith(prompt):
            raise refused(turn, _REWRITTEN)
        why = ""
        for place in range(start, min(start + _MOST_BEFORE, len(alone))):
            if not self.whole.startswith(alone[place : min(place + _TRIED, self._end(alone))], start):
                continue
            try:
                return self._read(prompt, alone[place:], message)
            except BadInput as error:
                why = why or str(error)
        raise refused(turn, why or _LEFT_OUT)

    def _end(self, alone: str) -> int:
        """Where a conversation that ends with an answer has the last of it at least."""
        last = self._tokenizer.control.last(alone)
        return last.start() if last is not None else len(alone)

    def _read(self, prompt: str, following: str, message: Mapping[str, Any]) -> AnswerText:
        """The turn behind `prompt`, which alone is written as `following`.

        Raises:
            BadInput: Some of it is missing, or it does not stand there in the whole conversation.
        """
        said = self._reader.read(self._turn, prompt, prompt + following, message, finished=False)
        body, control = said.text, self._tokenizer.control
        if not self.whole.startswith(prompt + body):
            raise BadInput(_LEFT_OUT)
        # What ends a turn may be another token where more follows. Other text belongs to it only as a last turn's end.
        rest = self.whole[len(prompt) + len(body) :]
        end = self._reader.read(self._turn, prompt, prompt + following, message, finished=True).text[len(body) :]
        if not rest.startswith(end):
            first = control.first(rest)
            end = "" if first is None or rest[: first.start()].strip() else rest[: first.end()]
        return replace(said, text=body + end, said=control.without(body + end))
