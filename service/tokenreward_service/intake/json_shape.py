"""How much structure a JSON text has, looked at before it is parsed.

A parser holds Python's interpreter lock from one object to the next, or to the end, and validation does so for a whole
item. So a text of nothing but brackets would stop the service for all others, however small each of its parts is.
"""

from __future__ import annotations

import asyncio
import re

from tokenreward_service.problems import ProblemError

#: Arrays, objects and keys that one item may have, or what stands between two items. To parse so many takes some tens
#: of milliseconds; conversations with tools have hundreds.
MOST_PARTS = 50_000
#: Values that may stand there: token ids above all.
MOST_VALUES = 1_000_000
#: Bytes without a bracket or a quote that are looked at in one go.
_STRIDE = 2**20
_SIGN = re.compile(rb'[\[\]{}"]')
_QUOTE, _BACKSLASH, _OPENING = ord('"'), ord("\\"), (ord("["), ord("{"))
#: What ends an item that stands in a list of its body: an object of a job's `items`, or a sequence of token ids.
OBJECT_ENDS, SEQUENCE_ENDS = b"}", b"]"


async def check_shape(text: bytes | bytearray, where: str, ends: bytes = b"") -> None:
    """Refuse a text that has more structure than any item.

    Args:
        text: JSON, which may be malformed.
        where: What it is, to begin a sentence with.
        ends: What ends an item in a list of the body, where the count begins anew; nothing for a text without items.

    Raises:
        ProblemError: 413.
    """
    if len(text) <= MOST_PARTS:
        return
    # What strings hold counts here, too. Almost no text comes near, and those that do are looked at more closely.
    parts = text.count(b"[") + text.count(b"{") + text.count(b":")
    if parts <= MOST_PARTS and text.count(b",") <= MOST_VALUES:
        return
    if await asyncio.to_thread(overfull, text, ends):
        detail = (
            f"{where} has more than {MOST_PARTS} arrays, objects and keys, or {MOST_VALUES} values, in one item or "
            "outside of items."
        )
        raise ProblemError(413, "Too much structure", detail)


def overfull(text: bytes | bytearray, ends: bytes = b"") -> bool:
    """Whether too much stands in one item of a body, or outside of items; without `ends`, the text counts as a whole.

    For a thread: it hands the lock over at every bracket and every string.
    """
    depth = parts = values = items = place = 0
    while place < len(text):
        end = min(place + _STRIDE, len(text))
        match = _SIGN.search(text, place, end)
        found = match.start() if match is not None else end
        if found > place:
            parts += text.count(b":", place, found)
            values += text.count(b",", place, found)
        place = found + 1 if match is not None else end
        sign = text[found] if match is not None else 0
        if sign == _QUOTE:
            place = _after_string(text, place)
        elif sign in _OPENING:
            depth += 1
            parts += 1
        elif sign:
            depth -= 1
            if depth == 2 and sign in ends:  # the end of an element of the body's `items`, or of another list
                values, items = 0, items + 1
                if ends == OBJECT_ENDS:  # sequences are few, and nothing is in them but values
                    parts = 0
        if parts > MOST_PARTS or values > MOST_VALUES or items > MOST_VALUES:
            return True
    return False


def _after_string(text: bytes | bytearray, place: int) -> int:
    """The place after the end of a string that begins at `place`."""
    while (quote := text.find(b'"', place)) >= 0:
        if text[quote - 1] != _BACKSLASH:
            return quote + 1
        before = text[place:quote]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return quote + 1
        place = quote + 1
    return len(text)
