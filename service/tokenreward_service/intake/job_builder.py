"""Builds one job: cuts and stages runs of entries, and keeps what must be known before it is published."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tokenreward.protocol.arrow_blobs import Entry
from tokenreward.schema import PointedError
from tokenreward_service.intake.slicing import Slicer
from tokenreward_service.problems import MAX_POINTED, ProblemError
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.drafts import Draft, Drafts, Slice

#: Entries that are checked before others get their turn on the event loop.
_RUN = 100


class JobBuilder:
    """Fills one draft with entries.

    Args:
        drafts: Where slices are staged.
        draft: An empty draft.
        settings: The service's settings.
        dry: Only count; nothing is staged.
    """

    def __init__(self, drafts: Drafts, draft: Draft, settings: ServiceSettings, *, dry: bool = False) -> None:
        self.draft = draft
        self._drafts = drafts
        self._dry = dry
        self._slicer = Slicer(draft.plan, settings)
        self._wrong: list[PointedError] = []

    async def take(self, entries: Iterable[Entry]) -> None:
        """Add a run of entries.

        Raises:
            ProblemError: 422 in strict mode, at the end of the run that has something wrong.
        """
        kept = []
        for number, entry in enumerate(entries, 1):
            if number % _RUN == 0:
                await asyncio.sleep(0)
            kept.append(entry)
            if entry.failure is not None and len(self._wrong) < MAX_POINTED:
                self._wrong.append(PointedError(pointer=entry.failure.pointer or "/", detail=entry.failure.message))
        if self._wrong and self.draft.plan.options.strict:
            raise ProblemError(422, "Invalid items", "strict=true: nothing was accepted.", errors=self._wrong)
        for piece in self._slicer.add(kept):
            await self._stage(piece)

    async def end(self) -> Draft:
        """The draft, ready to be published.

        Raises:
            ProblemError: 503, if what was staged did not last until now.
        """
        for piece in self._slicer.rest():
            await self._stage(piece)
        await self._drafts.confirm(self.draft)
        return self.draft

    async def _stage(self, piece: Slice) -> None:
        if self._dry:
            self.draft.count(piece)
            await asyncio.sleep(0)
        else:
            await self._drafts.stage(self.draft, piece)
