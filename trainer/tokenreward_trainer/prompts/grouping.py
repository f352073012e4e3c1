"""How prompts are put into groups that are measured apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def group_of(row: Mapping[str, Any]) -> str:
    """Names a prompt's family and level, as far as its row has them; empty if it has neither."""
    family = [str(row["family"])] if "family" in row else []
    return ", ".join([*family, *([f"level {row['level']}"] if "level" in row else [])])
