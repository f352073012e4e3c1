"""Which parts of a text are code, so that they are drawn in a font with columns.

The service's page has the same rule (`service/tokenreward_service/web/static/js/code.js`).
"""

from __future__ import annotations

import re

_FENCED = re.compile(r"^```[^\n]*\n[\s\S]*?(?:^```[^\n]*$|\Z)", re.MULTILINE)
_INDENTED = re.compile(r"^(?:\t| {2,})(?![-*+•]|\d+[.)])\s*\S")
_WORDS = "def|class|return|import|from|for|while|if|else|elif|function|const|let|var|fn|pub|use|#include|SELECT"
_STATEMENT = re.compile(rf"[{{}};]\s*$|^\s*(?:{_WORDS})\b.*[:;({{)\w]\s*$")


def code_spans(text: str) -> list[tuple[int, int]]:
    """Return the characters [start, end) of each part that is code.

    Fenced blocks are code. A text without one is code as a whole if some line is indented, some line is a statement,
    and more than half of its lines are one or the other.
    """
    fenced = [found.span() for found in _FENCED.finditer(text)]
    if fenced:
        return fenced
    lines = [line for line in text.split("\n") if line.strip()]
    indented = [_INDENTED.match(line) is not None for line in lines]
    statements = [_STATEMENT.search(line) is not None for line in lines]
    like = sum(one or other for one, other in zip(indented, statements, strict=True))
    return [(0, len(text))] if any(indented) and any(statements) and 2 * like > len(lines) else []
