"""Answers of another model as a judge's baseline: a file with one answer to every prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenreward.errors import BadInput
from tokenreward_trainer.resumable.segments import Row, read_rows

#: The answer, and what tells whose prompt it is, in our files and in AlpacaEval's.
_ANSWER = ("response", "output")
_PROMPT = ("prompt", "instruction")


def read_reference(path: Path, rows: Sequence[Row], prompts: Path) -> list[str]:
    """Reads the reference's answers.

    Rows have `response` or `output`, and `id`, `prompt` or `instruction`.

    Args:
        path: The file of answers.
        rows: The prompts; an answer belongs to the one with its `id`, or with its prompt.
        prompts: The file of prompts, for errors.

    Returns:
        One answer a prompt.

    Raises:
        BadInput: A row cannot be used, or a prompt has no answer.
    """
    found: dict[str, str] = {}
    for number, row in enumerate(_rows(path)):
        answer = next((row[name] for name in _ANSWER if isinstance(row.get(name), str)), None)
        keys = _keys(row)
        if answer is None or not keys:
            raise BadInput(f"{path}, row {number}: needs `response` or `output`, and `id`, `prompt` or `instruction`")
        for key in keys:
            found.setdefault(key, answer)
    answers = [next((found[key] for key in _keys(row) if key in found), None) for row in rows]
    for number, answer in enumerate(answers):
        if answer is None:
            raise BadInput(f"{path}: has no answer to {prompts}, row {number}; a reference answers every prompt")
    return [answer for answer in answers if answer is not None]


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix != ".json":
        return read_rows(path)
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, OSError) as error:
        raise BadInput(f"{path}: {error}") from None
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise BadInput(f"{path}: not a list of rows")
    return content


def _keys(row: Row) -> list[str]:
    names = [f"id {row['id']}"] if row.get("id") is not None else []
    return names + [f"prompt {json.dumps(row[name])}" for name in _PROMPT if row.get(name)]
