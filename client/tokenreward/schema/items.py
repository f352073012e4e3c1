"""One response to be labeled, as it is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Field, JsonValue, StrictBool, Tag, field_validator, model_validator

from tokenreward.schema.candidates import NamedIds, check_named_ids
from tokenreward.schema.contexts import Context, Span, check_spans, message_texts, value_texts
from tokenreward.schema.messages import ASSISTANT, Message, Prompt
from tokenreward.schema.wire import WireModel

#: The most characters of `chat_template_kwargs` as JSON. They are switches, not text.
_KWARGS_LENGTH = 16_384
#: What a chat template gets from elsewhere, and what `apply_chat_template` keeps for itself.
RESERVED_KWARGS = frozenset(
    {"add_generation_prompt", "chat_template", "continue_final_message", "conversation", "max_length", "messages"}
    | {"padding", "return_assistant_tokens_mask", "return_dict", "return_tensors", "tokenize", "tokenizer_kwargs"}
    | {"tools", "truncation"}
)


#: The most assistant's turns of an item that are scored together. Each of them is rendered with all before it.
MOST_TURNS = 256

#: What stands between the turns in the text of a response with several.
BETWEEN_TURNS = "\n\n"

#: Which of an item's turns are scored: the last one, or all of the assistant's.
Score = Literal["last", "all"]


def _form(value: object) -> str:
    if isinstance(value, list | tuple):
        return "Messages"
    return "Message" if isinstance(value, dict | Message) else "Text"


class Item(WireModel):
    """One response to be labeled. Exactly one of `response` and `token_ids` must be given.

    Attributes:
        prompt: Text, which is one user message, or chat messages. The last one is not an assistant's.
        response: Text, or an assistant's message with a thought or tool calls. It is tokenized as the model's chat
            template writes it after the prompt. With `score = "all"` it may also be several messages, of which the
            first and the last are the assistant's.
        token_ids: int `[T]`, used as they are, behind the chat template's generation prompt.
        id: The caller's own name for the item. It comes back with the result.
        finished: Whether the response ends its turn. If so, what ends the turn is appended to a `response`.
        tools: The tools that the model may call, as JSON schemas, for chat templates that show them.
        chat_template_kwargs: Switches of the chat template, such as `enable_thinking`. `today` is the date that the
            template is told, `2024-07-26` unless given.
        context: What the template shows beside prompt and response, by the names of its fields: a text, several texts,
            or messages.
        spans: int `[N, 2]`, segments of the response in characters, in order, for `pool="spans"`.
        named_ids: Ids whose log-probs `include` 'named' gives at each token: int `[N]` for the same ids everywhere, or
            int `[T, N]`, a list for each token of the response; at most 128 of them.
        score: `last` scores the response. `all` scores every assistant's turn of a response that is messages; of any
            other item those in the prompt too. What is between the turns is read and not scored. The response's text
            is then that of the turns, with an empty line between them.
    """

    prompt: Prompt
    response: (
        Annotated[
            Annotated[str, Tag("Text")]
            | Annotated[Message, Tag("Message")]
            | Annotated[list[Message], Tag("Messages"), Field(min_length=1, fail_fast=True)],
            Discriminator(_form),
        ]
        | None
    ) = None
    token_ids: Annotated[list[Annotated[int, Field(ge=0, lt=2**31, strict=True)]], Field(fail_fast=True)] | None = None
    id: Annotated[str, Field(max_length=512)] | None = None
    finished: StrictBool = True
    tools: Annotated[list[dict[str, JsonValue]], Field(fail_fast=True)] | None = None
    chat_template_kwargs: dict[str, JsonValue] | None = None
    context: Context | None = None
    spans: Annotated[list[Span], Field(min_length=1, max_length=10_000, fail_fast=True)] | None = None
    named_ids: NamedIds | None = None
    score: Score = "last"

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
        if isinstance(self.response, list):
            check_answer(self.response[0])
            check_answer(self.response[-1])
        if self.named_ids is not None:
            check_named_ids(self.named_ids, None if self.token_ids is None else len(self.token_ids))
        self._check_score()
        if self.spans is not None:
            known = isinstance(self.response, str) and len(self.said) == 1
            check_spans(self.spans, len(str(self.response)) if known else None)
        return self

    def _check_score(self) -> None:
        if self.score == "last":
            if isinstance(self.response, list):
                raise ValueError("a response of several messages needs `score` = 'all'")
            return
        if self.token_ids is not None:
            raise ValueError("`score` = 'all' reads the turns off messages: give them as `response`, not `token_ids`")
        if not self.asked:
            raise ValueError(
                "`score` = 'all', and the prompt begins with an assistant's message: nothing stands before that turn; "
                "leave the message out, or give the turns to score as the messages of `response`"
            )
        if sum(message.role in ASSISTANT for message in self.said) > MOST_TURNS:
            raise ValueError(f"`score` = 'all' takes at most {MOST_TURNS} turns of the assistant")

    @property
    def asked(self) -> Prompt:
        """What stands before the first turn that is scored."""
        first = self._first_scored
        return self.prompt if first is None else self.prompt[:first]

    @property
    def said(self) -> list[Message]:
        """The messages from the first turn that is scored to the last one; none if the response came as token ids."""
        if self.response is None:
            return []
        first = self._first_scored
        before = [] if first is None else [message for message in self.prompt[first:] if isinstance(message, Message)]
        if isinstance(self.response, list):
            return [*before, *self.response]
        last = Message(role="assistant", content=self.response) if isinstance(self.response, str) else self.response
        return [*before, last]

    @property
    def _first_scored(self) -> int | None:
        """Which message of the prompt is scored first; None if none is."""
        if self.score == "last" or isinstance(self.response, list) or isinstance(self.prompt, str):
            return None
        return next((number for number, message in enumerate(self.prompt) if message.role in ASSISTANT), None)

    def prompt_texts(self) -> Iterator[str]:
        """Yield every text that the prompt may put before a model, tools included, for estimates of size."""
        asked = self.asked
        if isinstance(asked, str):
            yield asked
        else:
            for message in asked:
                yield from message_texts(message)
        if self.tools:
            yield json.dumps(self.tools, ensure_ascii=False)

    def response_texts(self) -> Iterator[str]:
        """Yield every text of the response, for estimates of size."""
        for message in self.said:
            yield from message_texts(message)

    def context_texts(self) -> Iterator[str]:
        """Yield every text of the context fields, for estimates of size."""
        for value in (self.context or {}).values():
            yield from value_texts(value)


def check_answer(message: Message) -> None:
    """Raise ValueError unless the message is an assistant's and says something."""
    if message.role != "assistant":
        raise ValueError(f"the response is from {message.role!r}, not 'assistant'")
    if not (message.text or message.reasoning_content or message.tool_calls):
        raise ValueError("the response is empty: there is no token to reward")
