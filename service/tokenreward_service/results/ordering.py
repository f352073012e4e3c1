"""TODO: what this module owns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenreward.schema import Job, digest

Sort = Literal["mean_reward", "-mean_reward"]


#: Rows of a sorted view where no limit is given.
_SORTED_ROWS = 100


@dataclass(frozen=True, slots=True)
class View:
    """start: first item.  errors: items without rewards only.  sort: worst (or, with `-`, best) mean reward first.

    limit: most rows, None: no limit (of a sorted view: 100).
    """

    start: int = 0
    errors: bool = False
    sort: Sort | None = None
    limit: int | None = None

    def etag(self, job: Job, media_type: str) -> str:
        described = [self.start, self.errors, self.sort, self.limit, media_type]
        return f'"{job.version}-{digest({"view": described})}"'


def _means(table: pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean reward of every row; each has at least one token."""
    if not table.num_rows:
        return np.empty(0)
    lengths = pc.list_value_length(table["rewards"]).to_numpy()
    values = pc.list_flatten(table["rewards"]).to_numpy()
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    means: np.ndarray[Any, np.dtype[np.float64]] = np.add.reduceat(values.astype(np.float64), starts) / lengths
    return means
