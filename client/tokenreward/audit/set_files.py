"""Reading an audit's set from a file. Every error names the file, the line and the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenreward.audit.set_contexts import SetContexts
from tokenreward.audit.sets import AuditSet, PairItem, PairSet, Span, SpanItem, SpanSet
from tokenreward.dataset.columns import SPANS, prefix
from tokenreward.dataset.formats import numbered_rows
from tokenreward.dataset.inputs.file_kinds import COLUMNAR
from tokenreward.dataset.row_contexts import check_sources
from tokenreward.dataset.row_layout import Layout, Response, layout_of
from tokenreward.errors import BadInput

_KINDS = (
    "an audit reads `prompt`, `response` and `bad_spans` (and, if you like, `ignore_spans` and `task`),"
    " or `prompt`, `chosen` and `rejected`"
)


def load(path: Path, name: str | None = None, contexts: Mapping[str, str] | None = None) -> AuditSet:
    """Read a set. Its columns decide whether it is one of spans or of pairs.

    Args:
        path: A .jsonl, .parquet or .arrow file.
        name: The set's name. None means the file's.
        contexts: Where context fields come from beside the column `context`, see `dataset.row_contexts`.

    Raises:
        BadInput: The file is not such a set.
    """
    if path.suffix not in {".jsonl", ".ndjson", *COLUMNAR} or not path.is_file():
        reason = "no such file" if not path.exists() else "an audit reads .jsonl, .parquet and .arrow files"
        raise BadInput(f"{path}: {reason}")
    rows = list(numbered_rows(path))
    if not rows:
        raise BadInput(f"{path}: there are no rows; {_KINDS}")
    where, row = rows[0]
    if not {"bad_spans"} & row.keys() and not {"chosen", "rejected"} <= row.keys():
        columns = ", ".join(map(repr, row)) or "none"
        raise BadInput(f"{where}: the columns are {columns}; {_KINDS}")
    name = name or path.stem
    layout = layout_of(row, where)
    check_sources(contexts or {}, row, where)
    known = SetContexts.of_rows((row for _, row in rows), contexts or {})
    if "bad_spans" in row:
        if layout.kind != "response":
            raise BadInput(f"{where}: both `bad_spans` and `chosen`; a file is of one kind: {_KINDS}")
        return SpanSet(name, tuple(_span_item(row, n, layout, known, where) for n, (where, row) in enumerate(rows)))
    return PairSet(name, tuple(_pair_item(row, n, layout, known, where) for n, (where, row) in enumerate(rows)))


def _span_item(row: Mapping[str, Any], number: int, layout: Layout, known: SetContexts, where: str) -> SpanItem:
    (response,) = _texts(layout.responses(row, where), where)
    if "bad_spans" not in row:
        raise BadInput(f"{where}, field 'bad_spans': missing; give [] for a response without errors")
    bad = spans_of(row["bad_spans"], "bad_spans", response, where)
    ignore = spans_of(row.get("ignore_spans") or [], "ignore_spans", response, where)
    context = known.of(row, response, [response], where)
    own = _own_spans(row, SPANS, response, where)
    name = str(row.get("id", number))
    return SpanItem(name, response.prompt, response.text, bad, ignore, context, own, _task(row, where))


def _pair_item(row: Mapping[str, Any], number: int, layout: Layout, known: SetContexts, where: str) -> PairItem:
    chosen, rejected = _texts(layout.responses(row, where), where)
    context = [known.of(row, response, (chosen, rejected), where) for response in (chosen, rejected)]
    spans = [_own_spans(row, prefix(one.side) + SPANS, one, where) for one in (chosen, rejected)]
    return PairItem(
        str(row.get("id", number)), chosen.prompt, chosen.text, rejected.text, context[0], context[1], *spans
    )


def _own_spans(row: Mapping[str, Any], column: str, response: Response, where: str) -> tuple[Span, ...]:
    """Return a response's own segments, which have to be in order and apart; none where there is no such column."""
    found = spans_of(row.get(column) or [], column, response, where)
    for before, after in pairwise(found):
        if after[0] < before[1]:
            raise BadInput(f"{where}, field {column!r}: {list(after)} begins before {list(before)} ends")
    return found


def _task(row: Mapping[str, Any], where: str) -> str:
    """Return the kind of task or the source that a row is of; an empty text where it says none."""
    task = row.get("task")
    if task is not None and not isinstance(task, str):
        raise BadInput(f"{where}, field 'task': {task!r:.60} is not a text; it names the kind of task or the source")
    return task or ""


def _texts(responses: list[Response], where: str) -> list[Response]:
    """Checks that responses are text behind a prompt, which is all that an audit is about."""
    if any(response.message or response.tools or response.chat_template_kwargs for response in responses):
        raise BadInput(
            f"{where}: an audit is of text; thoughts, tool calls, tools and chat_template_kwargs have no place"
        )
    return responses


def spans_of(value: object, field: str, response: Response, where: str) -> tuple[Span, ...]:
    """Return spans of the row's own text as spans of the response, which may begin and end within it.

    Args:
        value: What the row has: a list of `[start, end]` in characters.
        field: The column.
        response: The row's response.
        where: How a person finds the row.

    Raises:
        BadInput: These are no spans of the text. The message names the place.
    """
    if not isinstance(value, list):
        raise BadInput(f"{where}, field {field!r}: {value!r:.60} is not a list of [start, end) pairs")
    length = response.own_length
    found = [_span(entry, f"{where}, field '{field}[{n}]'", length) for n, entry in enumerate(value)]
    return tuple(moved for span in found if (moved := response.moved(*span)) is not None)


def _span(entry: object, where: str, length: int) -> Span:
    if not isinstance(entry, Sequence) or isinstance(entry, str) or len(entry) != 2:
        raise BadInput(f"{where}: {entry!r:.60} is not a pair; write [start, end], end not included")
    start, end = entry
    for number in (start, end):
        if not isinstance(number, int) or isinstance(number, bool):
            raise BadInput(f"{where}: {number!r:.60} is not a whole number; offsets are characters of the response")
    if start < 0:
        raise BadInput(f"{where}: [{start}, {end}] starts below 0; the first character of the response is 0")
    if start >= end:
        raise BadInput(f"{where}: [{start}, {end}] is empty; the end is not included, so it must be above the start")
    if end > length:
        raise BadInput(
            f"{where}: [{start}, {end}] ends beyond the response, which has {length} characters;"
            " offsets count characters (Unicode code points), not bytes or UTF-16 units"
        )
    return start, end
