"""What crosses the scoring seam: a response to score as token ids, and the log-probs that come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LogProbs = NDArray[np.float32]


@dataclass(frozen=True, slots=True, order=True)
class Adapter:
    """One version of an adapter of the engine's model.

    Attributes:
        version: The hash of its content, by which it is told from others.
        folder: Where its files are on this host. They never change.
    """

    version: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Scoring:
    """One response to score under several branches, as token ids.

    Attributes:
        prefix: The longest common token prefix of the branches; may be empty.
        branches: Name of a branch -> the rest of its prompt, up to and including the generation prompt. There is none
            where an estimator asks no model; such a scoring never reaches an engine.
        response: The ids to score, at least one.
        adapters: Name of a branch -> the adapter that scores it. The model itself scores a branch that is not there.
    """

    prefix: tuple[int, ...]
    branches: dict[str, tuple[int, ...]]
    response: tuple[int, ...]
    adapters: Mapping[str, Adapter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.response, "a response has at least one token"
        assert all(self.prefix or rest for rest in self.branches.values()), "a branch has at least one token"

    @classmethod
    def of(
        cls,
        prompts: dict[str, Sequence[int]],
        response: Sequence[int],
        adapters: Mapping[str, Adapter] | None = None,
    ) -> Scoring:
        """Build a scoring from whole branch prompts by splitting off their longest common prefix.

        Args:
            prompts: Name of a branch -> its whole prompt as ids.
            response: The ids to score.
            adapters: See the attribute.
        """
        if not prompts:
            return cls((), {}, tuple(response))
        first, *others = prompts.values()
        shared = len(first)
        for other in others:
            shared = min(shared, len(other))
            while first[:shared] != other[:shared]:
                shared = next(i for i in range(shared) if first[i] != other[i])
        rests = {name: tuple(prompt[shared:]) for name, prompt in prompts.items()}
        return cls(tuple(first[:shared]), rests, tuple(response), adapters or {})

    @property
    def by_adapter(self) -> dict[Adapter | None, dict[str, tuple[int, ...]]]:
        """The branches of each adapter, the model's own (None) first."""
        if not self.adapters:
            return {None: self.branches}
        found: dict[Adapter | None, dict[str, tuple[int, ...]]] = {}
        for adapter in sorted({self.adapters.get(name) for name in self.branches}, key=adapter_order):
            own = {name: rest for name, rest in self.branches.items() if self.adapters.get(name) == adapter}
            found[adapter] = own
        return found

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that must fit the model."""
        return len(self.prefix) + max(map(len, self.branches.values()), default=0) + len(self.response)

    @property
    def tokens(self) -> int:
        """Tokens that a plain scorer would read: every branch's prompt and response in full."""
        return sum(len(self.prefix) + len(rest) + len(self.response) for rest in self.branches.values())


def adapter_order(adapter: Adapter | None) -> str:
    """Return a key that sorts adapters, and the model without one before them."""
    return "" if adapter is None else adapter.version


@dataclass(frozen=True, slots=True)
class Row:
    """What an engine knows of one response under one branch.

    Attributes:
        logprobs: float32 `[T]`, the log-prob of each response token, finite and <= 0.
    """

    logprobs: LogProbs


@dataclass(frozen=True, slots=True)
class ScoringFailed:
    """Why one scoring has no log-probs; the codes are those of the wire schema's `ItemFailure`."""

    code: str
    message: str


#: Name of a branch -> its row.
Scored = dict[str, Row]


def checked(scored: Scored, length: int) -> Scored | ScoringFailed:
    """Check that every branch has `length` finite log-probs that are not positive.

    A rounding error above zero (below 1e-4, the log-softmax of a certain token) is clipped to zero.

    Args:
        scored: What an engine, or a cache, says.
        length: Tokens of the response.

    Returns:
        `scored` with its rounding errors clipped, or why it cannot be used.
    """
    clipped = {}
    for branch, row in scored.items():
        logprobs = row.logprobs
        if logprobs.shape != (length,):
            return ScoringFailed("engine_error", f"branch {branch!r}: {logprobs.shape} log-probs for {length} tokens")
        if not np.isfinite(logprobs).all():
            where = int(np.flatnonzero(~np.isfinite(logprobs))[0])
            return ScoringFailed("non_finite", f"branch {branch!r}: the log-prob of token {where} is {logprobs[where]}")
        if (logprobs > 1e-4).any():
            where = int(np.argmax(logprobs))
            return ScoringFailed("engine_error", f"branch {branch!r}: token {where} has log-prob {logprobs[where]} > 0")
        clipped[branch] = Row(np.minimum(logprobs, np.float32(0)).astype(np.float32))
    return clipped
