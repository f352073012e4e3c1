"""TODO: what this module owns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["packed", "padded"]


Batch = dict[str, Any]


Values = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Pair:
    """One preference pair, tokenized.

    prompt: ids up to and including the generation prompt, at least one.
    chosen, rejected: ids of the completions, end-of-turn token included where the response was finished; at least one.
    chosen_rewards, rejected_rewards: float32 [len] token rewards in [-0.5, 0.5], or None for an unlabeled pair.
    """

    id: str
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    chosen_rewards: Values | None = None
    rejected_rewards: Values | None = None

    def __post_init__(self) -> None:
        assert self.prompt, "a prompt has at least one token"
        assert self.chosen, "a completion has at least one token"
        assert self.rejected, "a completion has at least one token"

    @property
    def tokens(self) -> int:
        """Tokens a packed forward pass reads."""
        return len(self.prompt) + len(self.chosen) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class Example:
    """One pair, its place in the data set, and its (chosen, rejected) reference log-probs once they are known."""

    index: int
    pair: Pair
    ref_logps: tuple[Values, Values] | None = None
