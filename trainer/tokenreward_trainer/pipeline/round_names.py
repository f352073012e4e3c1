"""How stages are called in a run of several rounds."""

from __future__ import annotations


def named(stage: str, number: int) -> str:
    """Returns a stage's name in a round, from 1; in the first it is the stage's own."""
    return stage if number == 1 else f"{stage}-{number}"
