"""Answers as the text that is tokenized for them, found in what the chat template makes of the whole conversation.

What a template adds is kept as it writes it, and so is what it does to blanks. A template that leaves out or rewrites
anything else of an answer is not followed: its labels would be of an answer that nobody gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenreward.chat_format.alignment import squeezed
from tokenreward.chat_format.anchoring import Anchor
from tokenreward.chat_format.chat_tokenizer import ChatTokenizer
from tokenreward.chat_format.end_of_turn import End, end_of_turn
from tokenreward.chat_format.named_template import NamedTemplate, check_unicode
from tokenreward.chat_format.turn import Turn
from tokenreward.errors import BadInput
from tokenreward.schema.messages import function_of, text_of

#: What opens and closes a thought in the text of models that think.
_OPENINGS = ("<think>", "<thinking>", "<thought>", "<seed:think>", "[THINK]")
_CLOSINGS = ("</think>", "</thinking>", "</thought>", "</seed:think>", "[/THINK]")
_WAYS_OUT = "send the response as `token_ids`, its thought as `reasoning_content`, or set `chat_template_kwargs`"


@dataclass(frozen=True, slots=True)
class AnswerText:
    """An answer as the text that is tokenized for it.

    Attributes:
        text: What follows the prompt, up to and including what ends the turn. Control tokens have their secret names.
        anchor: How `text` is tokenized.
        eos: The id that is appended because the template writes nothing that ends the turn.
        said: `text` without control tokens.
        own: The text that was sent, which offsets refer to.
        sought: `own`, blanks in place of the control tokens in it.
        place: Where `own` begins in `said`: the character if it stands there as it is, else the number of characters
            before it that are not blank.
        verbatim: Whether it stands there as it is.
    """

    text: str
    anchor: Anchor
    eos: int | None
    said: str
    own: str
    sought: str
    place: int
    verbatim: bool

    @property
    def anchored(self) -> str:
        """The text to tokenize."""
        return self.anchor.text(self.text)


class AnswerReader:
    """Reads answers out of conversations.

    Args:
        template: The model's chat template.
        tokenizer: The model's tokenizer.
        eos: The id that ends a turn if the template writes nothing there.
    """

    def __init__(self, template: NamedTemplate, tokenizer: ChatTokenizer, eos: int | None) -> None:
        self._template = template
        self._tokenizer = tokenizer
        self._eos = eos

    def as_it_is(self, turn: Turn, text: str, finished: bool) -> AnswerText:
        """An answer that the template is known to write as it is.

        Raises:
            BadInput: The text is no valid Unicode.
        """
        check_unicode(text)
        end = self._end(turn.rest, finished)
        control = self._tokenizer.control
        following = turn.before + text + end.text
        place = len(control.without(turn.before))
        return AnswerText(following, turn.anchor, end.eos, control.without(following), text, text, place, verbatim=True)

    def read(self, turn: Turn, prompt: str, whole: str, answer: Mapping[str, Any], finished: bool) -> AnswerText:
        """Any other answer.

        Args:
            turn: What surrounds an answer to this conversation.
            prompt: The conversation up to where answers begin.
            whole: The conversation with the answer.
            answer: The assistant's message.
            finished: Whether what ends the turn belongs to the answer.

        Raises:
            BadInput: The template leaves out or rewrites some of the answer.
        """
        if not whole.startswith(prompt):
            raise BadInput(f"the model's chat template writes the conversation otherwise with this answer; {_WAYS_OUT}")
        body, rest = self._parted(whole[len(prompt) :], turn.rest)
        own = text_of(answer.get("content"))
        self._check(prompt, body, own, answer)
        control = self._tokenizer.control
        sought = self._template.spared(own)
        said, mine = squeezed(control.without(body)), squeezed(sought)
        place = said.find(mine) if answer.get("tool_calls") else len(said) - len(mine)
        end = self._end(rest, finished)
        following = body + end.text
        said = control.without(following)
        return AnswerText(following, turn.anchor, end.eos, said, own, sought, place, verbatim=False)

    def _end(self, rest: str, finished: bool) -> End:
        return end_of_turn(self._tokenizer, rest, self._eos) if finished else End("")

    def _parted(self, following: str, rest: str) -> tuple[str, str]:
        """What follows the prompt as the answer and what stands behind it, which is `rest` unless it has calls."""
        if following.endswith(rest):
            length = len(following) - len(rest)
        elif (last := self._tokenizer.control.last(following)) is not None:
            length = last.start()
        else:
            length = len(following.rstrip())
        return following[:length], following[length:]

    def _check(self, prompt: str, body: str, own: str, answer: Mapping[str, Any]) -> None:
        control = self._tokenizer.control
        here, mine = squeezed(control.real(body)), squeezed(own)
        calls, thought = answer.get("tool_calls") or [], squeezed(answer.get("reasoning_content") or "")
        if not (mine or calls or thought or body.endswith(own)):
            raise BadInput("nothing is left of the answer: it is blank, and the model's chat template trims it")
        opened = squeezed(control.real(prompt[-256:]))  # the generation prompt may hold the start of the thought
        start = here.rfind(mine) if calls else len(here) - len(mine)
        if start < 0 or not here.startswith(mine, start):
            start = 0
            if calls or not (opened + here).endswith(mine) or not mine.startswith(_OPENINGS):
                raise BadInput(f"the model's chat template leaves out or rewrites some of this answer; {_WAYS_OUT}")
        if thought and thought not in here[:start] and thought not in here.replace(mine, ""):
            raise BadInput(
                "the model's chat template leaves out the thought of this answer (`reasoning_content`): write it into "
                "the text, or send the response as `token_ids`"
            )
        if not all(squeezed(function_of(call)["name"]) in here for call in calls):
            raise BadInput(
                "the model's chat template leaves out the tool calls of this answer; send the response as `token_ids`"
            )
        opens = mine.startswith(_OPENINGS)
        closes = any(tag in mine for tag in _CLOSINGS) and not any(tag in mine for tag in _OPENINGS)
        if (opens or closes) and any(tag in here[:start] for tag in (*(_OPENINGS if opens else ()), *_CLOSINGS)):
            raise BadInput(
                "the model's chat template writes a thought of its own before the one in the text: send the thought "
                "as `reasoning_content`, or the response as `token_ids`"
            )


def has_thought_tags(text: str) -> bool:
    """Whether a text holds what opens or closes a thought."""
    return any(tag in text for tag in (*_OPENINGS, *_CLOSINGS))
