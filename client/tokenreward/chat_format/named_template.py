"""A chat template whose control tokens are told from text that looks like them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tokenreward.chat_format.control_tokens import ControlTokens, mark_for, without_mark
from tokenreward.chat_format.message_forms import MessageForms
from tokenreward.chat_format.messages import Conversation, answer_message, system_in_user_turn
from tokenreward.chat_format.template import ChatTemplate
from tokenreward.errors import BadInput

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class NamedTemplate:
    """A chat template of one tokenizer; what it renders has each control token that it wrote under its secret name.

    Args:
        template: The template.
        control: The tokenizer's control tokens.

    Attributes:
        markers: The texts that the template looks for in what it is given.
    """

    def __init__(self, template: ChatTemplate, control: ControlTokens) -> None:
        self.markers = template.markers
        self._template = template
        self._control = control
        self._forms = MessageForms(template)
        # What a template looks for in an assistant's message, `</think>` for one, it is to find, even where the
        # tokenizer has a control token of that name.
        sought = [marker for marker in template.markers if control.are_in(marker)]
        self._sought = re.compile("(" + "|".join(map(re.escape, sought)) + ")") if sought else None

    def prompt(self, conversation: Conversation) -> str:
        """The conversation up to and including the generation prompt.

        Raises:
            BadInput: The template refuses the conversation, or a text is no valid Unicode.
        """
        return self._rendered(conversation, conversation.messages, generation_prompt=True)

    def whole(self, conversation: Conversation, answer: str | Mapping[str, Any] | None) -> str:
        """The conversation with its answer, or without one, and without a generation prompt.

        Raises:
            BadInput: See `prompt`.
        """
        said = [] if answer is None else [answer_message(answer)]
        return self._rendered(conversation, [*conversation.messages, *said], generation_prompt=False)

    def looks_for(self, text: str) -> bool:
        """Whether a text holds something that the template looks for."""
        lower = text.lower()
        return any(marker in text or marker.lower() in lower for marker in self.markers)

    def spared(self, text: str) -> str:
        """An assistant's text, blanks in place of the control tokens that stay control tokens in it."""
        return text if self._sought is None else self._sought.sub(lambda found: self._control.blanked(found[0]), text)

    def _rendered(
        self, conversation: Conversation, messages: Sequence[Mapping[str, Any]], *, generation_prompt: bool
    ) -> str:
        if messages and messages[0]["role"] == "system" and not self._forms.takes_system:
            messages = system_in_user_turn(messages)
        tools, kwargs = conversation.tools, conversation.kwargs
        mark = ""
        if self._control.are_in([messages, tools, kwargs]):
            mark = mark_for([messages, tools, kwargs])
            messages = [
                self._control.broken_up(message, mark, self._sought if message["role"] == "assistant" else None)
                for message in messages
            ]
            tools, kwargs = self._control.broken_up([tools, kwargs], mark)
        fitted = [self._forms.fitted(message) for message in messages]
        text = self._control.named(
            self._template.render(fitted, generation_prompt=generation_prompt, tools=tools, kwargs=kwargs)
        )
        check_unicode(text)
        return without_mark(text, mark) if mark else text


def check_unicode(text: str) -> None:
    """Raises BadInput for a text with a lone surrogate, which no tokenizer takes."""
    if not text.isascii() and _LONE_SURROGATE.search(text):
        raise BadInput("the text is no valid Unicode: it has a lone surrogate")
