"""MQM annotations of translations (arXiv 2104.14478), one error a line, marked with `<v>` and `</v>` in `target`.

The lines of one translation are one response, whoever annotated it. Major and critical errors are wrong; minor ones
count for neither side, as annotators often disagree on them, and neutral ones are opinions. An error that is marked in
the source is none in the translation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tokenreward.audit.converters.fields import field, filled

#: What tells segments apart, as far as a file has them.
_SEGMENT = ("system", "doc", "doc_id", "seg_id", "docSegId", "globalSegId")
_WRONG, _UNSURE = ("major", "critical"), ("minor",)
_TAG = re.compile(r"</?v>")


def convert(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield a row of an audit for each translation."""
    made: dict[tuple[str, ...], dict[str, Any]] = {}
    for where, row in rows:
        severity = field(row, "severity", str, where).lower()
        marked = field(row, "target", str, where)
        text = _TAG.sub("", marked)
        source = _TAG.sub("", field(row, "source", str, where))
        place = tuple(str(row[name]) for name in _SEGMENT if name in row)
        found = made.setdefault(
            (*place, text),
            {
                "id": " ".join(place) or str(len(made)),
                "prompt": f"Translate this text:\n\n{source}",
                "response": text,
                "bad_spans": [],
                "ignore_spans": [],
            },
        )
        column = "bad_spans" if severity in _WRONG else "ignore_spans" if severity in _UNSURE else None
        if column is not None and (span := _span(marked)) is not None:
            found[column].append(span)
    for found in made.values():
        # What one annotator calls minor and another one major is wrong.
        text, bad = found["response"], found["bad_spans"]
        found["ignore_spans"] = [part for span in found["ignore_spans"] for part in _outside(span, bad, text)]
        yield found


def _outside(span: list[int], others: Sequence[list[int]], text: str) -> list[list[int]]:
    """Return the parts of a span of a text that are in none of the others.

    They have no blanks at their ends: a token may begin with the blank before a word, and would be of both.
    """
    start, end = span
    parts = []
    for first, behind in sorted(others):
        if start < min(first, end):
            parts.append([start, min(first, end)])
        start = max(start, behind)
    if start < end:
        parts.append([start, end])
    return filled(_stripped(part, text) for part in parts)


def _stripped(span: list[int], text: str) -> list[int]:
    """Return a span of a text without the blanks at its ends."""
    inside = text[slice(*span)]
    start = span[0] + len(inside) - len(inside.lstrip())
    return [start, start + len(inside.strip())]


def _span(marked: str) -> list[int] | None:
    """Return the marked span in characters of the text without marks; None if nothing is marked."""
    before, opened, rest = marked.partition("<v>")
    inside, _, _ = rest.partition("</v>")
    inside = _TAG.sub("", inside)
    return [len(before), len(before) + len(inside)] if opened and inside else None
