"""The forms of a message that a chat template takes, found by trying them.

Templates differ in what they expect: content as text or as a list of parts, a tool call's arguments as an object or as
JSON text, a thought as `reasoning_content` or as `thinking`. Many of them drop what comes in another form without a
word. So each message is put into a form that the template writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from tokenreward.chat_format.template import ChatTemplate
from tokenreward.errors import BadInput
from tokenreward.schema.messages import function_of, text_of

#: Stands for a text whose place in the template's output is looked for. No template trims or changes it.
PROBE = "qzANSWERzq"
_OTHER = "qzOTHERzq"
_THINKING = re.compile(r"""\.thinking\b|["']thinking["']""")


class MessageForms:
    """What one chat template takes.

    Args:
        template: The template.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._thinking = _THINKING.search(template.source) is not None

    @cached_property
    def takes_system(self) -> bool:
        """Whether the template has a place for a system message: Gemma's raises, and others drop it."""
        user = self.fitted({"role": "user", "content": "a"})
        return PROBE in self._written([self.fitted({"role": "system", "content": PROBE}), user])

    def fitted(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The message in a form that the template takes; what the template ignores in any form stays as it is."""
        made = {**message}
        content = made.get("content")
        if content:
            text, parts = self._content
            if isinstance(content, str):
                if parts and not text:
                    made["content"] = [{"type": "text", "text": content}]
            elif not parts:
                made["content"] = text_of(content)
        if made.get("tool_calls"):
            made["tool_calls"] = [self._call(call) for call in made["tool_calls"]]
        if self._thinking and made.get("reasoning_content"):
            made["thinking"] = made["reasoning_content"]
        return made

    @cached_property
    def _content(self) -> tuple[bool, bool]:
        """Whether it takes content as text, and as a list of parts."""
        parts = [{"type": "text", "text": PROBE}, {"type": "text", "text": _OTHER}]
        written = self._written([{"role": "user", "content": parts}])
        as_parts = PROBE in written and _OTHER in written and not re.search("['\"]type['\"]", written)
        return PROBE in self._written([{"role": "user", "content": PROBE}]), as_parts

    @cached_property
    def _arguments(self) -> tuple[bool, bool]:
        """Whether it takes a call's arguments as JSON text, and as an object."""
        value = {"a": PROBE}
        text = json.dumps(value)
        return any(text in found for found in self._called(text)), any(PROBE in found for found in self._called(value))

    def _called(self, arguments: Any) -> list[str]:
        """What the template makes of a conversation with a call, its content once empty and once null."""
        call = {"type": "function", "id": "qzcallzqz", "function": {"name": "f", "arguments": arguments}}
        asked = self.fitted({"role": "user", "content": "a"})
        answer = {"role": "assistant", "tool_calls": [call]}
        return [self._written([asked, {**answer, "content": content}]) for content in ("", None)]

    def _call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        function = function_of(dict(call))
        fitting = {**function, "arguments": self._fitting(function.get("arguments", {}))}
        return {**call, "function": fitting} if "function" in call else {**call, **fitting}

    def _fitting(self, arguments: Any) -> Any:
        text, mapping = self._arguments
        if isinstance(arguments, str):
            return arguments if text or not mapping else _decoded(arguments)
        return json.dumps(arguments, ensure_ascii=False) if text and not mapping else arguments

    def _written(self, messages: Sequence[Mapping[str, Any]]) -> str:
        try:
            return self._template.render(messages, generation_prompt=False)
        except BadInput:
            return ""


def _decoded(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text
