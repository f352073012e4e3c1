"""Chat messages as they are sent: text, thoughts and tool calls."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, Discriminator, Field, JsonValue, Tag, field_validator, model_validator

from tokenreward.schema.wire import WireModel

#: The names that the assistant has in the messages of one family of models or the other.
ASSISTANT = frozenset({"assistant", "model"})

#: What is said of a prompt after which it is not the assistant's turn.
ENDS_IN_ANSWER = (
    "the prompt ends in an assistant's message, so there is no turn to answer in: put its text at the start of the "
    "response, or leave it out"
)


def _absent(value: object) -> bool:
    return value is None


def text_or_list(value: object) -> str:
    """Return which of two forms a value has, so that an error is about the form that was meant."""
    return "List" if isinstance(value, list | tuple) else "Text"


def _Optional(**options: Any) -> Any:  # noqa: N802 (it stands where `Field` would)
    """A field that is left out of what is sent where it has no value."""
    return Field(default=None, exclude_if=_absent, **options)


class TextPart(WireModel):
    """A piece of a message's text. Other kinds of parts, such as images and audio, are not taken.

    Attributes:
        type: Always `text`.
        text: The text.
    """

    type: str
    text: str

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, part: Any) -> Any:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind is not None and kind != "text":
            raise ValueError(f"a part of the kind {kind!r} cannot be carried, only text can")
        return part


Content = Annotated[
    Annotated[str, Tag("Text")] | Annotated[list[TextPart], Tag("List"), Field(min_length=1, fail_fast=True)],
    Discriminator(text_or_list),
]


class Message(WireModel):
    """One chat message.

    Attributes:
        role: A role that the model's chat template understands: user, assistant, system, ...
        content: The text, whole or in parts. It may be null beside `tool_calls` or `reasoning_content`.
        reasoning_content: An assistant's thought before its answer. `thinking` is another name for it.
        tool_calls: An assistant's calls, each `{"type": "function", "function": {"name": ..., "arguments": {...}}}`.
            Arguments that are JSON text are decoded for chat templates that want an object.
        tool_call_id: The id of the call that a tool's message answers.
        name: The name of the tool, or of the speaker.
    """

    role: Annotated[str, Field(min_length=1, max_length=64)]
    content: Content | None = None
    reasoning_content: str | None = _Optional(validation_alias=AliasChoices("reasoning_content", "thinking"))
    tool_calls: Annotated[list[dict[str, JsonValue]], Field(fail_fast=True)] | None = _Optional()
    tool_call_id: str | None = _Optional()
    name: str | None = _Optional()

    @field_validator("tool_calls")
    @classmethod
    def _calls_have_names(cls, calls: list[dict[str, JsonValue]] | None) -> list[dict[str, JsonValue]] | None:
        for call in calls or ():
            if not isinstance(function_of(call).get("name"), str):
                raise ValueError('a tool call is {"type": "function", "function": {"name": ..., "arguments": {...}}}')
        return calls or None

    @model_validator(mode="after")
    def _says_something(self) -> Message:
        if self.content is None and self.tool_calls is None and self.reasoning_content is None:
            raise ValueError("a message has `content`, or `tool_calls` or `reasoning_content` in its place")
        return self

    @property
    def text(self) -> str:
        """The content as one text, empty if there is none."""
        return text_of(self.content)

    @property
    def only_text(self) -> bool:
        """Whether the message is nothing but a role and a text."""
        return isinstance(self.content, str) and not (
            self.reasoning_content or self.tool_calls or self.tool_call_id or self.name
        )


Prompt = Annotated[
    Annotated[str, Tag("Text")] | Annotated[list[Message], Tag("List"), Field(min_length=1, fail_fast=True)],
    Discriminator(text_or_list),
]


def text_of(content: Any) -> str:
    """Return a message's content, of whatever form, as one text."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text if isinstance(part, TextPart) else part["text"] for part in content)


def function_of(call: dict[str, Any]) -> dict[str, Any]:
    """Return what a tool call calls: `{"name", "arguments"}`, which stands in `function` or directly in the call."""
    function = call.get("function", call)
    return function if isinstance(function, dict) else {}
