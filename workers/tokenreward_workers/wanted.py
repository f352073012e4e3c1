"""What a caller may want of each response token beside its log-prob: the prediction's moments, its K best ids, and ids
that the caller names.

Engines, and the cache, hold a branch's row as columns, float32 `[T, width]`:

    log-prob | entropy, variance | K ids, K log-probs | N log-probs

An id stands there as a float: float32 holds whole numbers up to 2^24, and no vocabulary is larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class NamedIds:
    """Ids that the caller names, the same number at each position of a response.

    Attributes:
        width: How many at each position, N.
        data: int32 `[T, N]` as bytes, so that equal ones compare equal and nothing is copied on the way to an engine.
    """

    width: int
    data: bytes

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]] | NDArray[np.int32]) -> NamedIds:
        """Take one list of ids for each position, all of one length and at least one."""
        array = np.ascontiguousarray(rows, dtype=np.int32)
        assert array.ndim == 2, "every position names as many ids"
        return cls(array.shape[1], array.tobytes())

    @property
    def array(self) -> NDArray[np.int32]:
        """int32 `[T, N]`."""
        return np.frombuffer(self.data, dtype=np.int32).reshape(-1, self.width)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of every branch of a scoring, beside log-probs.

    Attributes:
        moments: Entropy and variance of the prediction.
        top: How many of the most likely ids, K; 0 for none.
        ids: Ids whose log-probs are wanted at each position; None for none.
    """

    moments: bool = False
    top: int = 0
    ids: NamedIds | None = None

    def __bool__(self) -> bool:
        return self.moments or self.top > 0 or self.ids is not None

    @property
    def named(self) -> int:
        """How many ids are named at each position."""
        return 0 if self.ids is None else self.ids.width

    @property
    def width(self) -> int:
        """How many columns a row has."""
        return self._after_top + self.named

    @property
    def moment_columns(self) -> slice:
        """The columns of entropy and variance."""
        return slice(1, 1 + 2 * self.moments)

    @property
    def top_ids(self) -> slice:
        """The columns of the most likely ids."""
        return slice(self.moment_columns.stop, self.moment_columns.stop + self.top)

    @property
    def top_logprobs(self) -> slice:
        """The columns of their log-probs."""
        return slice(self.top_ids.stop, self._after_top)

    @property
    def named_logprobs(self) -> slice:
        """The columns of the named ids' log-probs."""
        return slice(self._after_top, self.width)

    @property
    def logprobs(self) -> list[int]:
        """Every column that is a log-prob."""
        return [0, *range(self.top_ids.stop, self.width)]

    @property
    def _after_top(self) -> int:
        return 1 + 2 * self.moments + 2 * self.top


#: Log-probs only.
NOTHING = Wanted()
