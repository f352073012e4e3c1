"""Which requests a scoring becomes, and in which order vLLM gets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tokenreward_workers.engines.base import WORTH_SENDING_AHEAD, Key
from tokenreward_workers.scoring import Adapter, Row, Scored, Scoring, adapter_order
from tokenreward_workers.wanted import Wanted


@dataclass(slots=True, eq=False)
class InFlight:
    """One scoring on its way through vLLM.

    Attributes:
        rows: The branches that are done.
        over: Whether nobody waits for it any more, or it has failed.
    """

    key: Key
    scoring: Scoring
    rows: dict[str, Row] = field(default_factory=dict)
    over: bool = False

    def add(self, branch: str, row: Row) -> Scored | None:
        """Take note of a branch's row; the whole result if it was the last one."""
        self.rows[branch] = row
        return self.rows if len(self.rows) == len(self.scoring.branches) else None


@dataclass(frozen=True, slots=True)
class Request:
    """One branch of one scoring as a request; or a prefix sent ahead, whose branch is None.

    Attributes:
        adapter: What reads it; None for the model itself.
        ids: The whole prompt as vLLM sees it: the branch's prompt and the response.
        start: Index of the first response token in `ids`.
        cached: Whether it may read the prefix cache.
    """

    owner: InFlight
    branch: str | None
    ids: list[int]
    start: int
    cached: bool
    adapter: Adapter | None = None

    @property
    def wanted(self) -> Wanted:
        """What is wanted of its branch beside log-probs."""
        return self.owner.scoring.wanted


class RequestOrder:
    """Orders the requests of scorings so that what begins alike follows each other."""

    def __init__(self, *, cached: bool) -> None:
        """Make an order that knows of no prefix yet.

        Args:
            cached: Whether requests may read the prefix cache, so that it pays to send a prefix ahead.
        """
        self._cached = cached
        self._ahead: tuple[Adapter | None, tuple[int, ...]] = (None, ())

    def of(self, batch: Sequence[InFlight]) -> Iterator[Request]:
        """Every branch of `batch`, those that begin alike one after the other, each prefix ahead of its branches.

        A prefix needs no log-probs: as a request of its own, its rows never see the LM head. What one adapter has read
        is of no use to another.
        """
        parts = [(adapter, one, branches) for one in batch for adapter, branches in one.scoring.by_adapter.items()]
        parts.sort(key=lambda part: (adapter_order(part[0]), part[1].scoring.prefix, min(part[2].values())))
        for adapter, one, branches in parts:
            prefix = one.scoring.prefix
            if self._cached and len(prefix) >= WORTH_SENDING_AHEAD and (adapter, prefix) != self._ahead:
                yield Request(one, None, list(prefix), 0, cached=True, adapter=adapter)
            self._ahead = (adapter, prefix)
            for branch, rest in branches.items():
                prompt = [*prefix, *rest]
                yield Request(one, branch, [*prompt, *one.scoring.response], len(prompt), self._cached, adapter)
