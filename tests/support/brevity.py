"""A reward function for tests: it nearly always finds a difference."""

from __future__ import annotations

from typing import Any


def brevity(completions: list[str], **_: Any) -> list[float]:
    return [-float(len(text)) for text in completions]
