"""Templates: the named contexts under which a response is scored, and their preview."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tokenreward.schema.hashing import digest
from tokenreward.schema.items import Item
from tokenreward.schema.messages import Message
from tokenreward.schema.wire import WireModel

#: The template's own text. Longer text belongs into the prompt.
_TemplateText = Annotated[str, Field(max_length=20_000)]


class Branch(WireModel):
    """One named context under which the response is scored.

    The branch is one user message, `context` and then `directive`, unless `conversation` is true.

    Attributes:
        context: The first part of the message. None means the template's own context.
        directive: The last part of the message.
        conversation: The branch is the bare prompt, as a chat model would have seen it.
    """

    context: _TemplateText | None = None
    directive: _TemplateText = ""
    conversation: bool = False


class Template(WireModel):
    """Named branches as data. `{prompt}` and `{response}` are replaced literally and never evaluated.

    Attributes:
        name: The name that clients ask for.
        description: For people. It does not change the hash.
        context: The context of all branches that have none of their own.
        branches: One to 16 branches by name.
    """

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
    description: str = ""
    context: _TemplateText = ""
    branches: Annotated[dict[str, Branch], Field(min_length=1, max_length=16)]

    @property
    def hash(self) -> str:
        """The hash of everything that may change a log-prob, which is all but the description."""
        return digest(self.model_dump(exclude={"description"}))


class RenderRequest(WireModel):
    """The body of `POST /v1/render`, which shows what each branch would say for this item.

    Attributes:
        item: The item.
        template: A shipped template's name, or a template of the caller's own.
    """

    item: Item
    template: str | Template = "revision"


class RenderedBranch(WireModel):
    """The messages of one branch, before the model's chat template."""

    messages: list[Message]


class Rendered(WireModel):
    """The answer of `POST /v1/render`.

    Attributes:
        template: The template's name.
        template_hash: Its hash.
        branches: The messages of every branch, by the branch's name.
    """

    template: str
    template_hash: str
    branches: dict[str, RenderedBranch]
