"""Rendering: how a template makes one chat of an item for each branch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tokenreward.errors import BadInput
from tokenreward.schema import ContextValue, Item, Message, Template
from tokenreward.schema.templates import PLACEHOLDER
from tokenreward.templates.context_fields import FieldValue, Instance, instances
from tokenreward.templates.transcript import in_words, transcript


def render(
    template: Template,
    item: Item,
    *,
    response: str | None = None,
    branches: Iterable[str] | None = None,
    most: Mapping[str, int] | None = None,
) -> dict[str, list[Message]]:
    """Return the chat of every branch for one item, before the model's chat template.

    Args:
        template: The template.
        item: The item.
        response: The text of an item that came as token ids, which is its decoded form.
        branches: The branches that are wanted; None means all that the item has the context fields for.
        most: The most repetitions of a branch, by its name.

    Returns:
        The messages of each branch, by its name; of a repeated branch by `name[0]`, `name[1]` and so on.

    Raises:
        BadInput: The template shows the response, and there is no text of it; or context fields and template do not
            fit.
    """
    found = instances(template, _fields(item), branches, most)
    values = {"prompt": transcript(item.asked, item.tools), "response": _answer(item, response)}
    if values["response"] is None and any("response" in template.shown(one.branch) for one in found.values()):
        raise BadInput("this template shows the response, so an item given as token ids needs its text")
    return {name: _messages(template, one, item, values) for name, one in found.items()}


def lengths(
    template: Template,
    item: Item,
    *,
    response: str | None = None,
    branches: Iterable[str] | None = None,
    most: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Return the characters of every branch as `render` would make it, without making it.

    A template may repeat its placeholders, so a small request can ask for far more text than there is memory.
    Arguments and errors are those of `render`.
    """
    found = instances(template, _fields(item), branches, most)
    sizes = {"prompt": len(transcript(item.asked, item.tools)), "response": len(_answer(item, response) or "")}
    return {name: _length(template, one, item, sizes) for name, one in found.items()}


def needs_response(template: Template) -> bool:
    """Return whether some branch shows the response in its context."""
    return any("response" in template.shown(name) for name in template.branches)


def _fields(item: Item) -> dict[str, FieldValue]:
    """Return the item's context fields, conversations in words."""
    return {name: _in_words(value) for name, value in (item.context or {}).items()}


def _in_words(value: ContextValue) -> FieldValue:
    if isinstance(value, str):
        return value
    messages = [part for part in value if isinstance(part, Message)]
    return transcript(messages) if messages else [part for part in value if isinstance(part, str)]


def _answer(item: Item, decoded: str | None) -> str | None:
    """Return the response in words; of a response with several turns a transcript."""
    said = item.said
    if not said:
        return decoded
    return in_words(said[0]) if len(said) == 1 else transcript(said)


def _messages(template: Template, one: Instance, item: Item, values: Mapping[str, str | None]) -> list[Message]:
    if template.branches[one.branch].conversation:
        asked = item.asked
        return [Message(role="user", content=asked)] if isinstance(asked, str) else list(asked)
    known = {**values, **one.values}

    def filled(found: re.Match[str]) -> str:
        value = known.get(found[1])
        return found[0] if value is None else value

    # One pass over the template's own text, so that a placeholder inside a prompt stays what it is: text.
    return [Message(role="user", content=PLACEHOLDER.sub(filled, template.text(one.branch)))]


def _length(template: Template, one: Instance, item: Item, sizes: Mapping[str, int]) -> int:
    if template.branches[one.branch].conversation:
        return sum(map(len, item.prompt_texts()))
    words = template.text(one.branch)
    every = {**sizes, **{name: len(value) for name, value in one.values.items()}}
    return len(words) + sum(words.count(f"{{{name}}}") * (size - len(name) - 2) for name, size in every.items())
