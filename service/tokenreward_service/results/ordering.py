"""Which rows of a job's results one answer has, and in which order: input order, errors only, or by mean reward."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tokenreward.protocol.arrow_blobs import RESULTS_SCHEMA
from tokenreward.schema import Job, ResultsEnd, digest
from tokenreward_service.problems import unavailable
from tokenreward_service.results.reading import read_results
from tokenreward_service.store.payloads import Payloads

Sort = Literal["mean_reward", "-mean_reward"]

#: Rows of a sorted view where no limit is given.
_SORTED_ROWS = 100


@dataclass(frozen=True, slots=True)
class View:
    """What of a job's results is asked for.

    Attributes:
        start: Index of the first item.
        errors: Items without rewards only.
        sort: The worst mean reward first, or, with `-`, the best; None: input order.
        limit: Most rows; None: no limit, and 100 of a sorted view.
    """

    start: int = 0
    errors: bool = False
    sort: Sort | None = None
    limit: int | None = None

    def etag(self, job: Job, media_type: str) -> str:
        """The ETag of this view of a job that is over."""
        described = [self.start, self.errors, self.sort, self.limit, media_type]
        return f'"{job.version}-{digest({"view": described})}"'


class Selection:
    """The rows of one answer. Iterate `tables` once; `end()` then says where to go on.

    Args:
        payloads: Where the results are.
        job: A snapshot of their job.
        view: What is asked for.
    """

    def __init__(self, payloads: Payloads, job: Job, view: View) -> None:
        self.job = job
        self._payloads = payloads
        self._view = view
        self._next = view.start

    def tables(self) -> AsyncIterator[pa.Table]:
        """The rows, as tables of RESULTS_SCHEMA. Raises Corrupt."""
        return self._in_order() if self._view.sort is None else self._sorted()

    async def end(self) -> ResultsEnd:
        """The record that ends the answer.

        Raises:
            ProblemError: 503, if a retry pinned the job to another set-up while its results were read. What was read
                may be of the other one, and must not end with this provenance.
        """
        if await self._payloads.pinned_to(self.job.id) not in {None, self.job.provenance.fingerprint_digest}:
            raise unavailable("The job was pinned to another set-up meanwhile; ask again.", 1)
        complete = self._next >= self.job.total_items
        return ResultsEnd(next=self._next, complete=complete, provenance=self.job.provenance)

    async def _in_order(self) -> AsyncIterator[pa.Table]:
        left = self._view.limit
        async for table in read_results(self._payloads, self.job, self._view.start):
            end = self._next + table.num_rows
            if self._view.errors:
                table = table.filter(table["error"].is_valid())
            if left is not None and table.num_rows >= left:
                table = table.slice(0, left)
                # Go on after the last row that was sent.
                self._next = table["index"][-1].as_py() + 1
                yield table
                return
            if left is not None:
                left -= table.num_rows
            self._next = end
            if table.num_rows:
                yield table

    async def _sorted(self) -> AsyncIterator[pa.Table]:
        most = self._view.limit or _SORTED_ROWS
        sign = -1.0 if self._view.sort == "-mean_reward" else 1.0
        best, best_keys = RESULTS_SCHEMA.empty_table(), np.empty(0)
        async for table in read_results(self._payloads, self.job, self._view.start):
            self._next += table.num_rows
            table = table.filter(pc.greater(pc.list_value_length(table["rewards"]), 0))
            best = pa.concat_tables([best, table])
            best_keys = np.concatenate([best_keys, sign * _means(table)])
            order = np.argsort(best_keys, kind="stable")[:most]
            best, best_keys = best.take(pa.array(order)), best_keys[order]
        yield best


def _means(table: pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The mean reward of every row, float64 `[rows]`; each row has at least one token."""
    if not table.num_rows:
        return np.empty(0)
    lengths = pc.list_value_length(table["rewards"]).to_numpy()
    values = pc.list_flatten(table["rewards"]).to_numpy()
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    means: np.ndarray[Any, np.dtype[np.float64]] = np.add.reduceat(values.astype(np.float64), starts) / lengths
    return means
