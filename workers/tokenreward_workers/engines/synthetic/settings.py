"""How fast the synthetic engine is, and what kills it: `TOKENREWARD_SYNTHETIC_*` in the environment."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tokenreward.errors import BadInput

_PREFIX = "TOKENREWARD_SYNTHETIC_"


@dataclass(frozen=True, slots=True)
class SyntheticSettings:
    """What the synthetic engine does.

    Attributes:
        rate: Responses per second; 0 for no limit of that kind.
        tokens_per_second: Plain tokens (`Scoring.tokens`) per second; 0 for no limit of that kind.
        step_seconds: How often it shows a sign of life at the latest.
        poison: A response that contains these ids, one after the other, kills the process (SIGKILL) when its turn
            comes; None if none does.
        bug: A response that contains these ids makes the engine raise, as a bug in an engine would.
        max_tokens: The longest prompt and response.
    """

    rate: float = 0.0
    tokens_per_second: float = 0.0
    step_seconds: float = 0.5
    poison: tuple[int, ...] | None = None
    bug: tuple[int, ...] | None = None
    max_tokens: int = 32_768

    @classmethod
    def from_environment(cls) -> SyntheticSettings:
        """Read `_RATE`, `_TOKENS_PER_SECOND`, and `_POISON` and `_BUG` (text, or ids as a JSON list).

        Raises:
            BadInput: A rate is not a number.
        """
        return cls(
            rate=_number("RATE"),
            tokens_per_second=_number("TOKENS_PER_SECOND"),
            poison=_ids("POISON"),
            bug=_ids("BUG"),
        )


def tokenizer_folder() -> Path | None:
    """The model directory whose tokenizer is used instead of the byte-level one, if the user named one."""
    named = os.environ.get(_PREFIX + "TOKENIZER")
    return Path(named) if named else None


def _number(name: str) -> float:
    try:
        return float(os.environ.get(_PREFIX + name) or "0")
    except ValueError:
        raise BadInput(f"{_PREFIX}{name}: Input should be a number") from None


def _ids(name: str) -> tuple[int, ...] | None:
    text = os.environ.get(_PREFIX + name)
    if not text:
        return None
    return tuple(json.loads(text)) if text.startswith("[") else tuple(text.encode("utf-8"))
