"""A reward function for tests: it nearly always finds a difference."""

from __future__ import annotations

from typing import Any


def brevity(completions: list[str], **_: Any) -> list[float]:
    return [-float(len(text)) for text in completions]


def finished_early(completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
    """From 1 for a response of one token down to 0 for one of twelve."""
    return [1 - len(ids) / 12 for ids in completion_ids]
