"""RAGTruth (arXiv 2401.00396): answers from given texts, with the spans that the texts do not support.

`response.jsonl` has the answers and spans, `source_info.jsonl` the prompts and the kinds of task. A span that is true
although the texts do not say so (`implicit_true`) counts for neither side. Answers of poor quality (refused, cut off)
are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tokenreward.audit.converters.fields import field
from tokenreward.errors import BadInput

_Rows = Iterable[tuple[str, Mapping[str, Any]]]


def convert(responses: _Rows, sources: _Rows) -> Iterator[dict[str, Any]]:
    """Yield a row of an audit for each answer."""
    prompts = {str(row.get("source_id")): _asked(row, where) for where, row in sources}
    for where, row in responses:
        labels = field(row, "labels", list, where)
        if row.get("quality", "good") != "good":
            continue
        source = str(row.get("source_id"))
        if source not in prompts:
            raise BadInput(f"{where}, field 'source_id': {source!r} is not in the file of sources")
        unsure = [bool(label.get("implicit_true")) for label in labels]
        spans = [[field(label, "start", int, where), field(label, "end", int, where)] for label in labels]
        yield {
            "id": str(row.get("id")),
            **prompts[source],
            "response": field(row, "response", str, where),
            "bad_spans": [span for span, leave in zip(spans, unsure, strict=True) if not leave],
            "ignore_spans": [span for span, leave in zip(spans, unsure, strict=True) if leave],
        }


def _asked(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return the columns that a source gives to its answers: its prompt and, where it has one, its kind of task."""
    prompt = {"prompt": field(row, "prompt", str, where)}
    return prompt if row.get("task_type") is None else prompt | {"task": field(row, "task_type", str, where)}
