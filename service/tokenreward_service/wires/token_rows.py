"""The rows of some tokens, as arrays: with K alternatives a token, one object for each number would fill the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tokenreward_service.wires.branch_asked import BRANCH


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates for each of N tokens.

    Attributes:
        ids: int32 `[N, K]`.
        logprobs: float32 `[N, K]`.
    """

    ids: NDArray[np.int32]
    logprobs: NDArray[np.float32]

    def part(self, start: int, end: int) -> Candidates:
        """The candidates of tokens `[start, end)`."""
        return Candidates(self.ids[start:end], self.logprobs[start:end])

    def joined(self, other: Candidates) -> Candidates:
        """These candidates, and those of the tokens that follow."""
        return Candidates(np.concatenate([self.ids, other.ids]), np.concatenate([self.logprobs, other.logprobs]))


@dataclass(frozen=True, slots=True)
class TokenRows:
    """What is known of N tokens.

    Attributes:
        logprobs: float32 `[N]`, natural logarithms.
        top: The likeliest tokens at each place, the likeliest first, if they were asked for.
        named: The tokens that the caller named, if there were any.
    """

    logprobs: NDArray[np.float32]
    top: Candidates | None = None
    named: Candidates | None = None

    @classmethod
    def of(cls, table: pa.Table, row: int) -> TokenRows:
        """Read one item's rows off a table of results."""
        return cls(
            np.asarray(_only(table["logprobs"][row]).values.to_numpy(zero_copy_only=False), dtype=np.float32),
            _candidates(table["top"][row]),
            _candidates(table["named"][row]),
        )

    def part(self, start: int, end: int) -> TokenRows:
        """The rows of tokens `[start, end)`."""
        top = None if self.top is None else self.top.part(start, end)
        return TokenRows(self.logprobs[start:end], top, None if self.named is None else self.named.part(start, end))

    def joined(self, other: TokenRows) -> TokenRows:
        """These rows, and those of the tokens that follow, of the same kind."""
        return TokenRows(
            np.concatenate([self.logprobs, other.logprobs]),
            None if self.top is None or other.top is None else self.top.joined(other.top),
            None if self.named is None or other.named is None else self.named.joined(other.named),
        )


def _only(by_branch: Any) -> Any:
    """The value of the only branch that a wire's job scores."""
    (name,) = by_branch.values.field(0).to_pylist()
    assert name == BRANCH, "a wire's job scores one branch"
    return by_branch.values.field(1)[0]


def _candidates(by_branch: Any) -> Candidates | None:
    if not by_branch.is_valid:
        return None
    found = _only(by_branch)
    return Candidates(_matrix(found["ids"], np.int32), _matrix(found["logprobs"], np.float32))


def _matrix(rows: Any, dtype: Any) -> Any:
    lists = rows.values
    return lists.flatten().to_numpy(zero_copy_only=False).astype(dtype).reshape(len(lists), -1)
