"""Templates: the named contexts under which a response is scored, and their preview."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, ValidationInfo, model_validator
from pydantic_core import PydanticKnownError

from tokenreward.schema.hashing import digest
from tokenreward.schema.items import Item
from tokenreward.schema.messages import Message
from tokenreward.schema.wire import WireModel

#: Most characters of a template's own text. Longer text belongs into the prompt.
_MOST_CHARACTERS = 20_000
#: The validation context of a template that was accepted once: it has to be read, whatever the limits are by now.
STORED = {"stored": True}


def _short_enough(text: str, info: ValidationInfo) -> str:
    if len(text) > _MOST_CHARACTERS and info.context != STORED:
        raise PydanticKnownError("string_too_long", {"max_length": _MOST_CHARACTERS})
    return text


_TemplateText = Annotated[str, AfterValidator(_short_enough), Field(json_schema_extra={"maxLength": _MOST_CHARACTERS})]

#: What a placeholder may be called, in braces.
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")
#: Placeholders that every template has: the item's prompt as text, and the response that is scored.
ALWAYS = frozenset({"prompt", "response"})


class ContextField(WireModel):
    """A context field that a template shows: something that an item knows beside its prompt and response.

    Attributes:
        required: Whether an item without it is an error. A branch that shows an absent optional field is left out.
        description: One line for people. It does not change the hash.
        source: Where files have it unless the user says otherwise: a column's name, or `@best`, `@worst`, `@chosen`,
            `@rejected`, `@outcome`. It does not change the hash.
    """

    required: StrictBool = True
    description: Annotated[str, Field(max_length=500)] = ""
    source: Annotated[str, Field(max_length=200)] | None = None


class Branch(WireModel):
    """One named context under which the response is scored.

    The branch is one user message, `context` and then `directive`, unless `conversation` is true.

    Attributes:
        context: The first part of the message. None means the template's own context.
        directive: The last part of the message.
        conversation: The branch is the bare prompt, as a chat model would have seen it.
        each: A context field that holds a list. The branch is repeated for each of its values, as `name[0]`, `name[1]`
            and so on; within it, the field's placeholder stands for one value.
        model: What scores the branch: an adapter of the job's model (`name` or `name@version`), or another served model
            with the same tokenizer (`name` or `name@fingerprint`). None means the job's model.
    """

    context: _TemplateText | None = None
    directive: _TemplateText = ""
    conversation: bool = False
    each: Annotated[str, Field(max_length=64)] | None = None
    model: Annotated[str, Field(min_length=1, max_length=512)] | None = None


class Template(WireModel):
    """Named branches as data. Placeholders are replaced literally and never evaluated.

    Attributes:
        name: The name that clients ask for.
        description: For people. It does not change the hash.
        context: The context of all branches that have none of their own.
        fields: The context fields that its texts show as `{name}`, beside `{prompt}` and `{response}`.
        branches: One to 16 branches by name.
    """

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
    description: str = ""
    context: _TemplateText = ""
    fields: Annotated[dict[str, ContextField], Field(max_length=16)] = Field(default={})
    branches: Annotated[dict[str, Branch], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _declared(self) -> Template:
        for name in self.fields:
            if name in ALWAYS or not PLACEHOLDER.fullmatch(f"{{{name}}}"):
                raise ValueError(f"a context field cannot be called {name!r}")
        for name, branch in self.branches.items():
            if "[" in name:
                raise ValueError(f"branch {name!r}: brackets number the repetitions of a branch")
            if branch.each is not None and branch.each not in self.fields:
                raise ValueError(f"branch {name!r} is repeated over {branch.each!r}, which is no declared field")
            unknown = self.shown(name) - ALWAYS - set(self.fields)
            # A template without fields may have braces in its text, as it always could.
            if unknown and self.fields:
                raise ValueError(f"branch {name!r} shows {{{min(unknown)}}}, which is no declared field")
        return self

    @property
    def hash(self) -> str:
        """The hash of everything that may change a log-prob."""
        content: dict[str, Any] = self.model_dump(exclude={"description": True, "fields": True})
        for branch in content["branches"].values():
            for added in ("each", "model"):  # as before branches had them
                if branch[added] is None:
                    del branch[added]
        if self.fields:
            content["fields"] = {name: field.required for name, field in self.fields.items()}
        return digest(content)

    @property
    def models(self) -> set[str]:
        """The names of the models that its branches ask for, beside the job's own."""
        return {branch.model for branch in self.branches.values() if branch.model is not None}

    def text(self, branch: str) -> str:
        """Return the template's own text for a branch, with its placeholders; empty for a bare conversation."""
        own = self.branches[branch]
        if own.conversation:
            return ""
        return (self.context if own.context is None else own.context) + own.directive

    def shown(self, branch: str) -> set[str]:
        """Return the names of all placeholders in a branch's text, declared or not."""
        return set(PLACEHOLDER.findall(self.text(branch)))


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
