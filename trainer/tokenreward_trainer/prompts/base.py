"""What a family of prompts is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Prompt:
    """text: what the model is asked.  check: how an answer is verified, as the scorer `verify` reads it."""

    text: str
    check: dict[str, Any]


class Family(Protocol):
    """Prompts of one kind, in levels of growing difficulty.

    levels: one line for each, for people; the first is level 1.
    """

    @property
    def name(self) -> str: ...

    @property
    def levels(self) -> Sequence[str]: ...

    def make(self, level: int, generator: random.Random) -> Prompt:
        """One prompt of a level; all randomness comes from `generator`."""
        ...
