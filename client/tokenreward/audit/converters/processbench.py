"""ProcessBench (arXiv 2412.06559): solutions in steps, of which people marked the earliest wrong one.

A row has `problem`, `steps` and `label`: the index of the earliest wrong step, -1 if there is none. Nothing that
follows a wrong step was judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tokenreward.audit.converters.fields import field, filled, joined
from tokenreward.errors import BadInput


def convert(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield a row of an audit for each solution."""
    for number, (where, row) in enumerate(rows):
        label = field(row, "label", int, where)
        text, spans = joined([str(step) for step in field(row, "steps", list, where)], "\n\n")
        if not -1 <= label < len(spans):
            raise BadInput(f"{where}, field 'label': {label} is no step; there are {len(spans)}")
        yield {
            "id": str(row.get("id", number)),
            "prompt": field(row, "problem", str, where),
            "response": text,
            "bad_spans": filled([spans[label]] if label >= 0 else []),
            # One span, so that what separates the steps is in it.
            "ignore_spans": filled([[spans[label + 1][0], len(text)]] if 0 <= label < len(spans) - 1 else []),
        }
