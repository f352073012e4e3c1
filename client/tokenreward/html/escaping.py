"""Making text of unknown origin harmless and visible before it reaches a terminal or a page."""

from __future__ import annotations

import unicodedata

_KEPT = {"\n", "\t"}
#: Control, format (direction marks, zero width), surrogate, private use, unassigned; line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str) -> str:
    """Return `text` with every character that could act or hide, instead of being seen, written as <U+XXXX>.

    Among them are escape sequences, carriage returns, direction overrides, zero-width characters and lone surrogates.
    Line feeds and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in _KEPT or unicodedata.category(c) not in _HIDDEN else f"<U+{ord(c):04X}>" for c in text)
