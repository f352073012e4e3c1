"""Where a text is cut into words, sentences, lines and steps, in characters.

Every rule works on characters that stand alone, so that a cut never falls inside an emoji, a combining sequence or a
number. A segment has no blanks at its ends; blanks between segments belong to none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping

#: `[start, end)` in characters.
Span = tuple[int, int]


def _marks() -> str:
    """Every mark of Unicode's first two planes (accents, vowel signs, variation selectors), as ranges of a class."""
    found: list[list[int]] = []
    for code in range(0x300, 0x20000):
        if unicodedata.category(chr(code))[0] != "M":
            continue
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in found)


#: What continues the character before it: marks, skin tones, the tags of regional flags, joiners with what they join.
_CONTINUED = f"(?:[{_marks()}\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]|\u200d.)*"
#: Scripts that are written without blanks: each character is a word of its own, as is usual for them.
_UNSPACED = "[\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_WORD = re.compile(
    rf"\d+(?:[.,:]\d+)*(?:[eE][+-]?\d+)?%?{_CONTINUED}"  # 1.813, 1,000, 12:30, 1e-5 and 50% are one word each
    rf"|{_UNSPACED}{_CONTINUED}"
    rf"|{_FLAG}"
    rf"|(?:(?!{_UNSPACED})\w{_CONTINUED})+(?:['’](?:(?!{_UNSPACED})\w{_CONTINUED})+)*"
    rf"|\S{_CONTINUED}",
    re.DOTALL,
)
#: A sentence ends behind its stop and the quotes or brackets that close it. A full stop inside a number, a name or an
#: abbreviation has no blank and capital letter behind it.
_STOP = re.compile(
    r"[.!?…]+[\"'”’)\]*_]*(?=\s+[\"'“‘(\[*_]*[^a-z\s])"
    r"|[。！？]+[”’」』）]*"
    r"|\n\s*\n"
    r"|(?<=[.!?:…])[\"'”’)\]*_]*(?=[ \t]*\n)"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[])(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|cf|Fig|Eq|No|approx|ca|al|Jr|Sr|Inc|Ltd|Co)\.$"
)
_BLANK_LINE = re.compile(r"\r?\n[ \t]*\r?\n\s*")


def segments_of(text: str, kind: str) -> list[Span]:
    """Return the segments of `text`, in order, none of them empty.

    Args:
        text: A response.
        kind: `word`: words, numbers, single ideographs and punctuation marks. `sentence`: up to a full stop, question
            or exclamation mark, or an empty line. `line`: lines that are not blank. `step`: blocks between empty
            lines; where there is no empty line, lines.

    Raises:
        KeyError: There is no such kind.
    """
    return list(_CUTS[kind](text))


def _words(text: str) -> Iterator[Span]:
    return (found.span() for found in _WORD.finditer(text))


def _sentences(text: str) -> Iterator[Span]:
    start = 0
    for found in _STOP.finditer(text):
        end = found.end()
        if found[0].startswith(".") and _ABBREVIATION.search(text, start, found.start() + 1):
            continue
        yield from _trimmed(text, start, end)
        start = end
    yield from _trimmed(text, start, len(text))


def _lines(text: str) -> Iterator[Span]:
    start = 0
    for line in text.splitlines(keepends=True):
        yield from _trimmed(text, start, start + len(line))
        start += len(line)


def _steps(text: str) -> Iterator[Span]:
    breaks = list(_BLANK_LINE.finditer(text.rstrip()))
    if not breaks:
        yield from _lines(text)
        return
    start = 0
    for found in breaks:
        yield from _trimmed(text, start, found.start())
        start = found.end()
    yield from _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """Yields the span without the blanks at its ends, unless nothing is left."""
    piece = text[start:end]
    begin = start + len(piece) - len(piece.lstrip())
    if begin < end:
        yield begin, start + len(piece.rstrip())


_CUTS: Mapping[str, Callable[[str], Iterator[Span]]] = {
    "word": _words,
    "sentence": _sentences,
    "line": _lines,
    "step": _steps,
}

#: The kinds of segments that a text can be cut into.
KINDS = tuple(_CUTS)
