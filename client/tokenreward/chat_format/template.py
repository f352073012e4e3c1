"""A model's chat template, run in jinja2's sandbox with what transformers offers it.

Only the date differs: it is fixed, because the same conversation must be read the same way tomorrow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox
from tokenizers import Tokenizer

from tokenreward.errors import BadInput

#: For models without a chat template: every message as it is, an empty line after it.
PLAIN_TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] + '\n\n' }}{% endfor %}"

#: Today, for chat templates that ask. It is the date that Llama 3.1's template takes when it is told none.
TODAY = datetime(2024, 7, 26, tzinfo=UTC)

#: Stands for a text whose place in the template's output is looked for. No template trims or changes it.
PROBE = "qzANSWERzq"


class ChatTemplate:
    """A compiled chat template.

    Args:
        source: The jinja2 source.
        special_tokens: The special tokens by their role; the template may write them by that name.

    Raises:
        BadInput: The source is no valid template.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        self._special_tokens = dict(special_tokens)
        try:
            self._compiled = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise BadInput(f"the chat template cannot be compiled: {error}") from error

    def render(self, messages: Sequence[dict[str, str]], *, generation_prompt: bool = True) -> str:
        """The conversation as text, with the opening of the assistant's turn at its end if `generation_prompt`.

        Raises:
            BadInput: The template refuses the conversation.
        """
        try:
            return self._compiled.render(
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=generation_prompt,
                **self._special_tokens,
            )
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            raise BadInput(f"the model's chat template refuses this prompt: {error}") from error

    @cached_property
    def takes_system(self) -> bool:
        """Whether the template has a place for a system message: Gemma's raises, and others drop it."""
        try:
            return PROBE in self.render([{"role": "system", "content": PROBE}, {"role": "user", "content": "a"}])
        except BadInput:
            return False


def plain_template(serialized: str, special_tokens: Mapping[str, str]) -> str:
    """`PLAIN_TEMPLATE`, with the bos token only if the tokenizer itself starts a text with it.

    Args:
        serialized: The JSON of the `tokenizers.Tokenizer`.
        special_tokens: The special tokens by their role.
    """
    bos = special_tokens.get("bos_token")
    tokenizer = Tokenizer.from_str(serialized)
    ids = tokenizer.encode("a").ids
    starts_with_bos = bos is not None and len(ids) > 1 and ids[0] == tokenizer.token_to_id(bos)
    return PLAIN_TEMPLATE if starts_with_bos else PLAIN_TEMPLATE.removeprefix("{{ bos_token }}")


def _environment() -> jinja2.Environment:
    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = TODAY.strftime
    return environment


class _Generation(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}`, which some templates put around an answer, is just its content."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
