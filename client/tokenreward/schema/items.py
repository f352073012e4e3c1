"""One response to be labeled, as it is sent."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, model_validator

from tokenreward.schema.wire import WireModel


class Message(WireModel):
    """One chat message.

    Attributes:
        role: A role that the model's chat template understands: user, assistant, system, ...
        content: The text.
    """

    role: Annotated[str, Field(min_length=1, max_length=64)]
    content: str


Prompt = str | Annotated[list[Message], Field(min_length=1)]


class Item(WireModel):
    """One response to be labeled. Exactly one of `response` and `token_ids` must be given.

    Attributes:
        prompt: Text, which is one user message, or chat messages.
        response: Text. It is tokenized as an assistant's message of the model's chat template.
        token_ids: int `[T]`, used as they are.
        id: The caller's own name for the item. It comes back with the result.
        finished: Whether the response ends its turn. If so, the end-of-turn token is appended to a `response`.
    """

    prompt: Prompt
    response: str | None = None
    token_ids: list[Annotated[int, Field(ge=0, lt=2**31, strict=True)]] | None = None
    id: Annotated[str, Field(max_length=512)] | None = None
    finished: StrictBool = True

    @model_validator(mode="after")
    def _one_response(self) -> Item:
        if (self.response is None) == (self.token_ids is None):
            raise ValueError("give either `response` (text) or `token_ids`, not both and not neither")
        if self.response == "" or self.token_ids == []:
            raise ValueError("the response is empty: there is no token to reward")
        if self.prompt == "":
            raise ValueError("the prompt is empty")
        return self
