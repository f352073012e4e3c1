"""Templates: how one item becomes one chat per branch. Data in `*.toml` beside this file, and two functions.

The shared context comes first and the directive last, so that the branches of one item share a long token
prefix which an engine computes once. The paper's own prompt (T-REG, Fig. 2) is a picture without text; the
wording here is ours.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from tokenreward.errors import UnknownName
from tokenreward.schema import Branch, Item, Message, Prompt, Template

_PLACEHOLDER = re.compile(r"\{(prompt|response)\}")

#: What a transcript calls each role.
_SPEAKERS = {"user": "User", "assistant": "Assistant", "system": "System"}


@cache
def shipped() -> Mapping[str, Template]:
    """Every template that comes with the package, by name."""
    files = sorted(f.name for f in resources.files(__package__).iterdir() if f.name.endswith(".toml"))
    loaded = (Template(**tomllib.loads(resources.files(__package__).joinpath(f).read_text("utf-8"))) for f in files)
    return {template.name: template for template in loaded}


def resolve(template: str | Template) -> Template:
    """The template itself, whether it was named or given.

    Raises UnknownName if no shipped template has that name.
    """
    if isinstance(template, Template):
        return template
    found = shipped().get(template)
    if found is None:
        raise UnknownName("template", template, sorted(shipped()))
    return found


def render(template: Template, item: Item, *, response: str | None = None) -> dict[str, list[Message]]:
    """The chat of every branch of `template` for `item`, before the model's chat template.

    `response` is the text of an item that came as token ids (its decoded form).
    """
    answer = item.response if item.response is not None else response
    if answer is None and needs_response(template):
        raise ValueError("this template shows the response, so an item given as token ids needs its text")
    return {name: _messages(template, branch, item.prompt, answer or "") for name, branch in template.branches.items()}


def lengths(template: Template, item: Item, *, response: str | None = None) -> dict[str, int]:
    """Characters of every branch as `render` would make it, without making it.

    A template may repeat its placeholders, so a small request can ask for far more text than there is memory.
    """
    answer = item.response if item.response is not None else response
    sizes = {"prompt": len(transcript(item.prompt)), "response": len(answer or "")}
    return {name: _length(template, branch, item.prompt, sizes) for name, branch in template.branches.items()}


def needs_response(template: Template) -> bool:
    """Whether some branch shows the response in its context."""
    texts = [template.context, *(part for b in template.branches.values() for part in (b.context or "", b.directive))]
    return any("{response}" in text for text in texts)


def transcript(prompt: Prompt) -> str:
    """The prompt as text: itself, the only user turn, or a transcript of several turns."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and prompt[0].role == "user":
        return prompt[0].content
    return "\n\n".join(f"{_SPEAKERS.get(m.role, m.role.capitalize())}: {m.content}" for m in prompt)


def _messages(template: Template, branch: Branch, prompt: Prompt, response: str) -> list[Message]:
    if branch.conversation:
        return [Message(role="user", content=prompt)] if isinstance(prompt, str) else list(prompt)
    values = {"prompt": transcript(prompt), "response": response}
    # One pass over the template's own text, so that a placeholder inside a prompt stays what it is: text.
    text = _PLACEHOLDER.sub(lambda match: values[match[1]], _words(template, branch))
    return [Message(role="user", content=text)]


def _length(template: Template, branch: Branch, prompt: Prompt, sizes: Mapping[str, int]) -> int:
    if branch.conversation:
        return len(prompt) if isinstance(prompt, str) else sum(len(message.content) for message in prompt)
    words = _words(template, branch)
    return len(words) + sum(words.count(f"{{{name}}}") * (size - len(name) - 2) for name, size in sizes.items())


def _words(template: Template, branch: Branch) -> str:
    """The template's own text for a branch, placeholders and all."""
    return (template.context if branch.context is None else branch.context) + branch.directive
