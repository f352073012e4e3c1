"""Reading edits from the files that a user has: preference pairs, or responses with their revisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenreward.audit import builtin
from tokenreward.dataset.formats import numbered_rows
from tokenreward.errors import BadInput
from tokenreward.schema.messages import text_of
from tokenreward_trainer.data.conversations import conversation_of
from tokenreward_trainer.labeler.edits import Edit

#: (worse, better) columns.
_COLUMNS = (("rejected", "chosen"), ("response", "revised"), ("original", "response"))
_KINDS = "`prompt` with `rejected` and `chosen`, with `response` and `revised`, or with `original` and `response`"


def read_edits(path: Path) -> list[Edit]:
    """Read the edits of a file.

    Args:
        path: A .jsonl, .parquet or .arrow file.

    Raises:
        BadInput: It cannot be read, a row has no edit, or a row is the material of an audit.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    audited = {twin.prompt for name in builtin.NAMES for twin in builtin.twins(name)}
    found = list(_edits(path, audited))
    if not found:
        raise BadInput(f"{path}: there are no rows; a labeler learns from {_KINDS}")
    return found


def _edits(path: Path, audited: set[str]) -> Iterator[Edit]:
    for where, row in numbered_rows(path):
        conversation = conversation_of(row, where)
        columns = next((pair for pair in _COLUMNS if set(pair) <= row.keys()), None)
        if columns is None:
            raise BadInput(f"{where}: the columns are {', '.join(map(repr, row))}; a labeler learns from {_KINDS}")
        worse, better = (_text(row, column, where) for column in columns)
        if any(text_of(message.get("content")) in audited for message in conversation.messages):
            raise BadInput(f"{where}: this prompt is of the audit's built-in sets, which have to stay unseen")
        prompt = row["prompt"] if isinstance(row["prompt"], str) else [dict(one) for one in conversation.messages]
        yield Edit(prompt, worse, better)


def _text(row: Mapping[str, Any], column: str, where: str) -> str:
    """Return a response as text; it may be one message of the assistant."""
    value = row[column]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
        value = value[0].get("content")
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{where}, field {column!r}: {value!r:.60} is not a response's text")
    return value
