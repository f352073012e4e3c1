"""Marks on the cells of a response: which are code, and with which a pooled segment begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tokenreward.html.code_spans import code_spans
from tokenreward.show.cells import Cell


def marked(cells: Sequence[Cell], segments: Sequence[Mapping[str, Any]] = ()) -> list[Cell]:
    """Return the cells with their marks.

    Args:
        cells: The cells of a response, in order.
        segments: The response's segments in the order of its text, with `start` and `end` in characters.
    """
    spans = code_spans("".join(cell.text for cell in cells if not cell.special))
    found, at, following = [], 0, 0
    for cell in cells:
        if cell.special:
            found.append(cell)
            continue
        code = any(start <= at < end for start, end in spans)
        # A blank before a word belongs to it; blanks alone belong to no word.
        first = at + (len(cell.text) - len(cell.text.lstrip()) if cell.text.strip() else 0)
        while following < len(segments) and segments[following]["end"] <= first:
            following += 1
        begins = bool(cell.rewards) and following < len(segments) and first >= segments[following]["start"]
        following += begins
        found.append(replace(cell, code=code, begins=begins))
        at += len(cell.text)
    return found
