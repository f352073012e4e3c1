"""The texts that a chat template looks for in what it is given, read off its source.

A template that writes one answer as it is may still do something else with the next: it splits at `</think>`, or it
refuses a channel's name. What it looks for stands in its source as a string. An answer that holds none of these strings
cannot be told from one that was tried.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

_METHODS = frozenset(
    {"split", "rsplit", "partition", "rpartition", "startswith", "endswith", "replace", "find", "rfind"}
)
_TRIMMING = frozenset({"strip", "lstrip", "rstrip", "removeprefix", "removesuffix"})


def markers_of(source: nodes.Template) -> tuple[str, ...]:
    """The texts that a parsed template looks for, longest first; blank ones are left out."""
    found = {text for text in _sought(source) if text.strip()}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def _sought(source: nodes.Template) -> Iterator[str]:
    named = _constants(source)
    for compared in source.find_all(nodes.Compare):
        sides = [compared.expr, *(operand.expr for operand in compared.ops)]
        if any(operand.op in {"in", "notin"} for operand in compared.ops):
            yield from _texts(sides[0], named)
    for call in source.find_all(nodes.Call):
        method = call.node.attr if isinstance(call.node, nodes.Getattr) else ""
        texts = [text for argument in call.args for text in _texts(argument, named)]
        if method in _METHODS:
            yield from texts
        elif method in _TRIMMING:
            yield from (character for text in texts for character in text)
    for filtered in source.find_all(nodes.Filter):
        if filtered.name == "replace":
            yield from (text for argument in filtered.args[:1] for text in _texts(argument, named))


def _constants(source: nodes.Template) -> dict[str, set[str]]:
    """The strings that variables are set to, by the variable's name."""
    found: dict[str, set[str]] = {}
    for assigned in source.find_all(nodes.Assign):
        if isinstance(assigned.target, nodes.Name) and isinstance(assigned.node, nodes.Const):
            found.setdefault(assigned.target.name, set()).add(str(assigned.node.value))
    return found


def _texts(node: nodes.Node, named: dict[str, set[str]]) -> Iterator[str]:
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, nodes.Name):
        yield from named.get(node.name, ())
    elif isinstance(node, nodes.Tuple | nodes.List):
        for item in node.items:
            yield from _texts(item, named)
