"""Text of unknown origin made harmless and visible before it reaches a terminal or a page."""

from __future__ import annotations

import unicodedata

_KEPT = {"\n", "\t"}
#: Control, format (direction marks, zero width), surrogate, private use, unassigned; line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str) -> str:
    """`text` with every character that could act or hide, rather than be seen, written as <U+XXXX>.

    Escape sequences, carriage returns, direction overrides, zero-width characters and lone surrogates among them;
    line feeds and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in _KEPT or unicodedata.category(c) not in _HIDDEN else f"<U+{ord(c):04X}>" for c in text)
