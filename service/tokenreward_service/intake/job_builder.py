"""TODO: what this module owns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.schema import PointedError
from tokenreward_service.intake.slicing import Cutter
from tokenreward_service.problems import MAX_POINTED, ProblemError
from tokenreward_service.runtime import Runtime
from tokenreward_service.store.drafts import Draft, Plan, Slice

#: Entries that are checked before others get their turn on the event loop.
_RUN = 100


class JobBuilder:
    """Takes one job in: cuts and stages runs of entries, keeps what must be known before it is published.

    dry: only count; nothing is staged.
    """

    def __init__(self, state: Runtime, plan: Plan, owner: str, ttl: int, *, dry: bool = False) -> None:
        self._state = state
        self._dry = dry
        self._cutter = Cutter(plan, state.settings)
        self.draft: Draft = state.store.draft(plan, owner, ttl)
        self.wrong: list[PointedError] = []

    async def take(self, entries: Iterable[Entry]) -> None:
        """Raises ProblemError (422) in strict mode, at the end of the run that has something wrong."""
        kept = []
        for number, entry in enumerate(entries, 1):
            if number % _RUN == 0:
                await asyncio.sleep(0)
            kept.append(entry)
            if entry.failure is not None and len(self.wrong) < MAX_POINTED:
                self.wrong.append(PointedError(pointer=entry.failure.pointer or "/", detail=entry.failure.message))
        if self.wrong and self.draft.plan.options.strict:
            raise ProblemError(422, "Invalid items", "strict=true: nothing was accepted.", errors=self.wrong)
        for piece in self._cutter.add(kept):
            await self._stage(piece)

    async def end(self) -> Draft:
        """The draft, ready to be published. Raises ProblemError (503) if what was staged did not last until now."""
        for piece in self._cutter.rest():
            await self._stage(piece)
        await self._state.store.confirm(self.draft)
        return self.draft

    async def _stage(self, piece: Slice) -> None:
        if self._dry:
            self.draft.count(piece)
            await asyncio.sleep(0)
        else:
            await self._state.store.stage(self.draft, piece)
