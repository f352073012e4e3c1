"""The types that families of prompts share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        text: What the model is asked.
        check: How an answer is verified, as the scorer `verify` reads it.
    """

    text: str
    check: dict[str, Any]


class Family(Protocol):
    """Prompts of one kind, in levels of growing difficulty."""

    @property
    def name(self) -> str:
        """The family's name in specifications."""
        ...

    @property
    def levels(self) -> Sequence[str]:
        """One line about each level, for people; the first is level 1."""
        ...

    def make(self, level: int, generator: random.Random) -> Prompt:
        """Makes one prompt of a level, from 1; all randomness comes from `generator`."""
        ...
