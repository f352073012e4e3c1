"""One response to be labeled, as it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

from pydantic import Discriminator, Field, JsonValue, StrictBool, Tag, field_validator, model_validator

from tokenreward.schema.messages import Message, Prompt
from tokenreward.schema.wire import WireModel

#: The most characters of `chat_template_kwargs` as JSON. They are switches, not text.
_KWARGS_LENGTH = 16_384
#: What a chat template gets from elsewhere, and what `apply_chat_template` keeps for itself.
RESERVED_KWARGS = frozenset(
    {"add_generation_prompt", "chat_template", "continue_final_message", "conversation", "max_length", "messages"}
    | {"padding", "return_assistant_tokens_mask", "return_dict", "return_tensors", "tokenize", "tokenizer_kwargs"}
    | {"tools", "truncation"}
)


def _text_or_message(value: object) -> str:
    return "Message" if isinstance(value, dict | Message) else "Text"


class Item(WireModel):
    """One response to be labeled. Exactly one of `response` and `token_ids` must be given.

    Attributes:
        prompt: Text, which is one user message, or chat messages. The last one is not an assistant's.
        response: Text, or an assistant's message with a thought or tool calls. It is tokenized as the model's chat
            template writes it after the prompt.
        token_ids: int `[T]`, used as they are, behind the chat template's generation prompt.
        id: The caller's own name for the item. It comes back with the result.
        finished: Whether the response ends its turn. If so, what ends the turn is appended to a `response`.
        tools: The tools that the model may call, as JSON schemas, for chat templates that show them.
        chat_template_kwargs: Switches of the chat template, such as `enable_thinking`. `today` is the date that the
            template is told, `2024-07-26` unless given.
    """

    prompt: Prompt
    response: (
        Annotated[Annotated[str, Tag("Text")] | Annotated[Message, Tag("Message")], Discriminator(_text_or_message)]
        | None
    ) = None
    token_ids: list[Annotated[int, Field(ge=0, lt=2**31, strict=True)]] | None = None
    id: Annotated[str, Field(max_length=512)] | None = None
    finished: StrictBool = True
    tools: list[dict[str, JsonValue]] | None = None
    chat_template_kwargs: dict[str, JsonValue] | None = None

    @field_validator("tools")
    @classmethod
    def _no_empty_tools(cls, tools: list[dict[str, JsonValue]] | None) -> list[dict[str, JsonValue]] | None:
        return tools or None

    @field_validator("chat_template_kwargs")
    @classmethod
    def _free_names(cls, kwargs: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        taken = sorted(RESERVED_KWARGS & (kwargs or {}).keys())
        if taken:
            raise ValueError(f"`{taken[0]}` is no switch of the chat template; leave it out")
        odd = next((name for name in kwargs or {} if not name.isidentifier()), None)
        if odd is not None:
            raise ValueError(f"{odd!r} is no name of a variable")
        if len(json.dumps(kwargs)) > _KWARGS_LENGTH:
            raise ValueError(f"at most {_KWARGS_LENGTH} characters of JSON are taken")
        return kwargs or None

    @model_validator(mode="after")
    def _one_response(self) -> Item:
        if (self.response is None) == (self.token_ids is None):
            raise ValueError("give either `response` (text) or `token_ids`, not both and not neither")
        if self.response == "" or self.token_ids == []:
            raise ValueError("the response is empty: there is no token to reward")
        if self.prompt == "":
            raise ValueError("the prompt is empty")
        if isinstance(self.response, Message):
            check_answer(self.response)
        return self

    def prompt_texts(self) -> Iterator[str]:
        """Yield every text that the prompt may put before a model, tools included, for estimates of size."""
        if isinstance(self.prompt, str):
            yield self.prompt
        else:
            for message in self.prompt:
                yield from _texts(message)
        if self.tools:
            yield json.dumps(self.tools, ensure_ascii=False)

    def response_texts(self) -> Iterator[str]:
        """Yield every text of the response, for estimates of size."""
        if isinstance(self.response, str):
            yield self.response
        elif self.response is not None:
            yield from _texts(self.response)


def check_answer(message: Message) -> None:
    """Raise ValueError unless the message is an assistant's and says something."""
    if message.role != "assistant":
        raise ValueError(f"the response is from {message.role!r}, not 'assistant'")
    if not (message.text or message.reasoning_content or message.tool_calls):
        raise ValueError("the response is empty: there is no token to reward")


def _texts(message: Message) -> Iterator[str]:
    yield message.text
    if message.reasoning_content:
        yield message.reasoning_content
    if message.tool_calls:
        yield json.dumps(message.tool_calls, ensure_ascii=False)
