"""What crosses the scoring seam: a response to score as token ids, and the log-probs that come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tokenreward.estimators import Moments
from tokenreward_workers.wanted import NOTHING, Wanted

LogProbs = NDArray[np.float32]
#: A log-prob above 0, or an entropy or a variance below it, by no more than this is the rounding of a zero.
_ROUNDING = np.float32(1e-4)


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
        wanted: What is wanted of every branch beside the log-probs.
        adapters: Name of a branch -> the adapter that scores it. The model itself scores a branch that is not there.
    """

    prefix: tuple[int, ...]
    branches: dict[str, tuple[int, ...]]
    response: tuple[int, ...]
    wanted: Wanted = NOTHING
    adapters: Mapping[str, Adapter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.response, "a response has at least one token"
        assert self.wanted.ids is None or len(self.wanted.ids.array) == len(self.response), "ids at each position"
        assert all(self.prefix or rest for rest in self.branches.values()), "a branch has at least one token"

    @classmethod
    def of(
        cls,
        prompts: Mapping[str, Sequence[int]],
        response: Sequence[int],
        wanted: Wanted = NOTHING,
        adapters: Mapping[str, Adapter] | None = None,
    ) -> Scoring:
        """Build a scoring from whole branch prompts by splitting off their longest common prefix.

        Args:
            prompts: Name of a branch -> its whole prompt as ids.
            response: The ids to score.
            wanted: What is wanted beside the log-probs.
            adapters: See the attribute.
        """
        if not prompts:
            return cls((), {}, tuple(response), wanted)
        first, *others = prompts.values()
        shared = len(first)
        for other in others:
            shared = min(shared, len(other))
            while first[:shared] != other[:shared]:
                shared = next(i for i in range(shared) if first[i] != other[i])
        rests = {name: tuple(prompt[shared:]) for name, prompt in prompts.items()}
        return cls(tuple(first[:shared]), rests, tuple(response), wanted, adapters or {})

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
class Candidates:
    """Ids that may stand at each position of a response, and their log-probs.

    Attributes:
        ids: int32 `[T, K]`.
        logprobs: float32 `[T, K]`.
    """

    ids: NDArray[np.int32]
    logprobs: LogProbs


@dataclass(frozen=True, slots=True)
class Row:
    """What an engine knows of one response under one branch.

    Attributes:
        logprobs: float32 `[T]`, the log-prob of each response token, finite and <= 0.
        moments: Entropy and variance of each prediction, if they were wanted.
        top: The most likely ids at each position, the likeliest first, if they were wanted.
        named: The ids that the caller named, if there were any.
    """

    logprobs: LogProbs
    moments: Moments | None = None
    top: Candidates | None = None
    named: Candidates | None = None

    @classmethod
    def of(cls, columns: LogProbs, wanted: Wanted) -> Row:
        """Read a row off its columns.

        Args:
            columns: float32 `[T, wanted.width]`, see `wanted`.
            wanted: What the columns are.
        """
        moments = top = named = None
        if wanted.moments:
            moments = Moments(*columns[:, wanted.moment_columns].T.copy())
        if wanted.top:
            top = Candidates(columns[:, wanted.top_ids].astype(np.int32), columns[:, wanted.top_logprobs].copy())
        if wanted.ids is not None:
            named = Candidates(wanted.ids.array, columns[:, wanted.named_logprobs].copy())
        return cls(columns[:, 0].copy(), moments, top, named)

    @property
    def columns(self) -> LogProbs:
        """The row as columns, float32 `[T, width]`."""
        parts: list[NDArray[np.floating]] = [self.logprobs[:, None]]
        if self.moments is not None:
            parts += [self.moments.entropy[:, None], self.moments.variance[:, None]]
        if self.top is not None:
            parts += [self.top.ids.astype(np.float32), self.top.logprobs]
        if self.named is not None:
            parts.append(self.named.logprobs)
        return np.concatenate(parts, axis=1, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class ScoringFailed:
    """Why one scoring has no log-probs; the codes are those of the wire schema's `ItemFailure`."""

    code: str
    message: str


#: Name of a branch -> its row.
Scored = dict[str, Row]


def checked(scored: Scored, length: int, wanted: Wanted = NOTHING) -> Scored | ScoringFailed:
    """Check that every branch has finite log-probs that are not positive, and all that was wanted beside them.

    A rounding error of a zero (below 1e-4) is clipped to zero.

    Args:
        scored: What an engine, or a cache, says.
        length: Tokens of the response.
        wanted: What the scoring wanted.

    Returns:
        `scored` with its rounding errors clipped, or why it cannot be used.
    """
    found = {}
    for branch, row in scored.items():
        columns = row.columns
        if (wrong := _wrong(columns, length, wanted)) is not None:
            code, message = wrong
            return ScoringFailed(code, f"branch {branch!r}: {message}")
        logprobs, moments = wanted.logprobs, wanted.moment_columns
        columns[:, logprobs] = np.minimum(columns[:, logprobs], 0)
        columns[:, moments] = np.maximum(columns[:, moments], 0)
        found[branch] = Row.of(columns, wanted)
    return found


def _wrong(columns: LogProbs, length: int, wanted: Wanted) -> tuple[str, str] | None:
    """What is wrong with a branch's row, as a code and a message."""
    logprobs = columns[:, 0]
    if len(columns) != length:
        return "engine_error", f"{logprobs.shape} log-probs for {length} tokens"
    if columns.shape[1] != wanted.width:
        return "engine_error", "the engine does not give the moments or candidates that the job wants; leave them out"
    odd = ~np.isfinite(columns)
    if odd[:, 0].any():
        where = int(np.flatnonzero(odd[:, 0])[0])
        return "non_finite", f"the log-prob of token {where} is {logprobs[where]}"
    if odd.any():
        where = int(np.flatnonzero(odd.any(axis=1))[0])
        return "non_finite", f"what is wanted beside the log-prob of token {where} is not finite"
    if (logprobs > _ROUNDING).any():
        where = int(np.argmax(logprobs))
        return "engine_error", f"token {where} has log-prob {logprobs[where]} > 0"
    if (columns[:, wanted.logprobs] > _ROUNDING).any():
        return "engine_error", "one of the wanted ids has a log-prob above 0"
    if (columns[:, wanted.moment_columns] < -_ROUNDING).any():
        return "engine_error", "an entropy or a variance is below 0"
    return None
