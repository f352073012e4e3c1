"""Merges concurrent small jobs into shared shards, so that 64 callers with one item each feed the engine like one
caller with 64.

A lone call is published at once. While a publication is under way, or calls arrive together, they wait for each
other, for a few milliseconds or a shard's worth of tokens.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from tokenreward.protocol.records import JobSlice, Shard
from tokenreward_service.settings import ServiceSettings
from tokenreward_service.store.drafts import Draft
from tokenreward_service.store.publishing import Publisher


class Coalescer:
    """Publishes small jobs, those that arrive together in one transaction and in shared shards.

    Args:
        publisher: Publishes the batches.
        settings: How long calls wait for each other, and how large a shard is.
    """

    def __init__(self, publisher: Publisher, settings: ServiceSettings) -> None:
        self._publisher = publisher
        self._settings = settings
        self._waiting: list[tuple[Draft, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._recent = 0

    async def publish(self, draft: Draft) -> None:
        """Publish a job, and return when it is on disk. Raises what the store raised."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((draft, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        await done

    async def _work(self) -> None:
        while self._waiting:
            # If calls came together lately, more are on their way: give them a moment to arrive.
            if self._recent > 1 and self._settings.merge_milliseconds:
                await asyncio.sleep(self._settings.merge_milliseconds / 1000)
            batch, self._waiting = self._waiting, []
            self._recent = len(batch)
            drafts = [draft for draft, _ in batch]
            try:
                await self._publisher.publish(drafts, merged_shards(drafts, self._settings.shard_tokens))
            except BaseException as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)


def merged_shards(drafts: Sequence[Draft], budget: int) -> list[Shard]:
    """Shards for the work of several drafts, which overtake bulk work.

    Args:
        drafts: The jobs whose slices share shards; each shard holds work for the same models.
        budget: Most estimated tokens in a shard. A slice above it gets a shard of its own.
    """
    shards: list[Shard] = []
    by_stages: defaultdict[tuple[str, ...], list[tuple[JobSlice, int]]] = defaultdict(list)
    for draft in drafts:
        for start, count, estimated in draft.slices:
            member = JobSlice(job=draft.id, slice=start, offset=0, count=count)
            by_stages[draft.plan.stages].append((member, estimated))
    for (first, *_), work in by_stages.items():
        members: list[JobSlice] = []
        tokens = 0
        for member, estimated in work:
            if members and tokens + estimated > budget:
                shards.append(Shard(fp=first, members=members, estimated=tokens, front=True))
                members, tokens = [], 0
            members.append(member)
            tokens += estimated
        shards.append(Shard(fp=first, members=members, estimated=tokens, front=True))
    return shards
