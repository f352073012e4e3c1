"""A model's chat template, run in jinja2's sandbox with what transformers offers it.

Only the date differs: it is fixed, because the same conversation must be read the same way tomorrow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox
from tokenizers import Tokenizer

from tokenreward.chat_format.template_markers import markers_of
from tokenreward.errors import BadInput

#: For models without a chat template: every message as it is, an empty line after it.
PLAIN_TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] + '\n\n' }}{% endfor %}"

#: Today, for chat templates that ask. It is the date that Llama 3.1's template takes when it is told none.
TODAY = datetime(2024, 7, 26, tzinfo=UTC)

#: What a sandboxed template may raise: it is a foreign program, and whatever stops it is its refusal.
_REFUSALS = (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class ChatTemplate:
    """A compiled chat template.

    Args:
        source: The jinja2 source.
        special_tokens: The special tokens by their role; the template may write them by that name.

    Attributes:
        source: As above.
        markers: The texts that it looks for in what it is given.

    Raises:
        BadInput: The source is no valid template.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        self.source = source
        self._special_tokens = dict(special_tokens)
        environment = _environment()
        try:
            self._compiled = environment.from_string(source)
            self.markers = markers_of(environment.parse(source))
        except jinja2.TemplateError as error:
            raise BadInput(f"the chat template cannot be compiled: {error}") from error

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> str:
        """The conversation as text, with the opening of the assistant's turn at its end if `generation_prompt`.

        Args:
            messages: The messages, in the forms that the template takes.
            generation_prompt: See above.
            tools: The tools that the model may call.
            kwargs: Further variables. `today` also sets the date that the template is told.

        Raises:
            BadInput: The template refuses the conversation, or `today` is no date.
        """
        variables = {"documents": None, **self._special_tokens, **(kwargs or {})}
        if "today" in variables:
            variables["strftime_now"] = _day(variables["today"]).strftime
        variables |= {"messages": messages, "tools": tools or None, "add_generation_prompt": generation_prompt}
        try:
            return self._compiled.render(variables)
        except _REFUSALS as error:
            raise BadInput(f"the model's chat template refuses this prompt: {error}") from error


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


def _day(today: Any) -> date:
    try:
        return date.fromisoformat(today)
    except (TypeError, ValueError):
        raise BadInput(f"chat_template_kwargs: `today` is {today!r}, not a date such as 2025-01-31") from None


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
