"""Rendering: how a template makes one chat of an item for each branch."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tokenreward.schema import Branch, Item, Message, Template
from tokenreward.templates.transcript import in_words, transcript

_PLACEHOLDER = re.compile(r"\{(prompt|response)\}")


def render(template: Template, item: Item, *, response: str | None = None) -> dict[str, list[Message]]:
    """Return the chat of every branch for one item, before the model's chat template.

    Args:
        template: The template.
        item: The item.
        response: The text of an item that came as token ids, which is its decoded form.

    Returns:
        The messages of each branch, by its name.

    Raises:
        ValueError: The template shows the response, and there is no text of it.
    """
    answer = _answer(item, response)
    if answer is None and needs_response(template):
        raise ValueError("this template shows the response, so an item given as token ids needs its text")
    values = {"prompt": transcript(item.prompt, item.tools), "response": answer or ""}
    return {name: _messages(template, branch, item, values) for name, branch in template.branches.items()}


def lengths(template: Template, item: Item, *, response: str | None = None) -> dict[str, int]:
    """Return the characters of every branch as `render` would make it, without making it.

    A template may repeat its placeholders, so a small request can ask for far more text than there is memory.
    """
    sizes = {"prompt": len(transcript(item.prompt, item.tools)), "response": len(_answer(item, response) or "")}
    return {name: _length(template, branch, item, sizes) for name, branch in template.branches.items()}


def needs_response(template: Template) -> bool:
    """Return whether some branch shows the response in its context."""
    texts = [template.context, *(part for b in template.branches.values() for part in (b.context or "", b.directive))]
    return any("{response}" in text for text in texts)


def _answer(item: Item, decoded: str | None) -> str | None:
    """Return the response in words."""
    return in_words(item.response) if isinstance(item.response, Message) else item.response or decoded


def _messages(template: Template, branch: Branch, item: Item, values: Mapping[str, str]) -> list[Message]:
    if branch.conversation:
        return [Message(role="user", content=item.prompt)] if isinstance(item.prompt, str) else list(item.prompt)
    # One pass over the template's own text, so that a placeholder inside a prompt stays what it is: text.
    text = _PLACEHOLDER.sub(lambda match: values[match[1]], _words(template, branch))
    return [Message(role="user", content=text)]


def _length(template: Template, branch: Branch, item: Item, sizes: Mapping[str, int]) -> int:
    if branch.conversation:
        return sum(map(len, item.prompt_texts()))
    words = _words(template, branch)
    return len(words) + sum(words.count(f"{{{name}}}") * (size - len(name) - 2) for name, size in sizes.items())


def _words(template: Template, branch: Branch) -> str:
    """Return the template's own text for a branch, with its placeholders."""
    return (template.context if branch.context is None else branch.context) + branch.directive
