"""Each prompt by its own check, in its column `check`.

`{"kind": "final_number", "answer": 7}` or `{"kind": "constraints", "constraints": [...]}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenreward.errors import BadInput
from tokenreward_trainer.scorers.base import Group
from tokenreward_trainer.scorers.constraints import kept
from tokenreward_trainer.scorers.final_number import right

CHECKS: dict[str, Callable[[str, Mapping[str, Any]], float]] = {
    "final_number": lambda text, check: right(text, check["answer"]),
    "constraints": lambda text, check: kept(text, check["constraints"]),
}


class Verify:
    """Scores each prompt by the check in its column `check`, which generated prompts have."""

    def __init__(self) -> None:
        self.identity: dict[str, Any] = {"scorer": "verify", "version": 2}

    def score(self, groups: Sequence[Group]) -> list[list[float | None]]:
        """Returns the score of each response by its prompt's check."""
        return [[verified(text, group.row.get("check"), group.where) for text in group.responses] for group in groups]


def verified(text: str, check: Any, where: str) -> float:
    """Scores one response by its prompt's check.

    Args:
        text: The response.
        check: The prompt's check.
        where: How a person finds the prompt.

    Raises:
        BadInput: The check is unknown or incomplete.
    """
    if not isinstance(check, Mapping) or check.get("kind") not in CHECKS:
        raise BadInput(f"{where}: `verify` needs a column `check` with a kind, one of {', '.join(CHECKS)}")
    try:
        return CHECKS[check["kind"]](text, check)
    except (KeyError, TypeError) as error:
        raise BadInput(f"{where}: its check {dict(check)!r} is not complete: {error}") from None
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
