"""What the rows of one pass are wanted for beside their log-probs, and what the LM head has made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from tokenreward_workers.engines.logit_columns import columns_of_logits
from tokenreward_workers.engines.packed.tree import Asked
from tokenreward_workers.scoring import LogProbs, Row
from tokenreward_workers.wanted import Wanted


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Rows [first, last) of the pass, of which equally many columns of each kind are wanted.

    wanted: of the first branch in it.  named: int64 `[last - first, N]`, or None.
    columns: float32 `[last - first, width]`, filled as the head goes on.
    """

    first: int
    last: int
    wanted: Wanted
    named: torch.Tensor | None
    columns: torch.Tensor


class WantedRows:
    """The rows of a pass, in the order in which the LM head reads them."""

    def __init__(self, asked: Sequence[Asked], targets: torch.Tensor) -> None:
        """Make room for what is wanted.

        Args:
            asked: The branches of the pass.
            targets: int64 `[R]`, of all branches, on the device of the logits.
        """
        self._asked = asked
        self._targets = targets
        self._stretches: dict[int, _Stretch] = {}
        first = 0
        for _, group in groupby(asked, lambda one: (one.wanted.moments, one.wanted.top, one.wanted.named)):
            alike = list(group)
            last = first + sum(len(one.targets) for one in alike)
            if wanted := alike[0].wanted:
                ids = [one.wanted.ids.array for one in alike if one.wanted.ids is not None]
                named = torch.from_numpy(np.concatenate(ids).astype(np.int64)).to(targets.device) if ids else None
                columns = torch.empty(last - first, wanted.width, dtype=torch.float32, device=targets.device)
                self._stretches[first] = _Stretch(first, last, wanted, named, columns)
            first = last

    def add(self, at: int, logits: torch.Tensor) -> None:
        """Compute what is wanted of some rows.

        Args:
            at: The first of them.
            logits: `[R, V]`.
        """
        for stretch in self._stretches.values():
            first, last = max(at, stretch.first), min(at + len(logits), stretch.last)
            if first < last:
                own = slice(first - stretch.first, last - stretch.first)
                named = None if stretch.named is None else stretch.named[own]
                stretch.columns[own] = columns_of_logits(
                    logits[first - at : last - at], self._targets[first:last], stretch.wanted, named
                )

    def rows(self, logprobs: LogProbs) -> list[Row]:
        """Return the row of each branch, in their order.

        Args:
            logprobs: float32 `[R]`, of all rows of the pass.
        """
        found: list[Row] = []
        at = 0
        for one in self._asked:
            if at in self._stretches:
                begun, columns = at, self._stretches[at].columns.cpu().numpy()
            end = at + len(one.targets)
            own = Row.of(columns[at - begun : end - begun], one.wanted) if one.wanted else Row(logprobs[at:end])
            found.append(own)
            at = end
        return found
