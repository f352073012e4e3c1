"""Takes lost shards back into the queue, and hunts for the item that takes workers down.

A shard that was lost twice is split, again and again, down to a single item. An item that has taken too many workers
down by itself gets an error of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from tokenreward.protocol import keys
from tokenreward.protocol.arrow_blobs import Entry, pack_failures
from tokenreward.protocol.records import Corrupt, JobSlice, Requeued, Shard, commit_args, dump_shards, parse_record
from tokenreward.protocol.scripts import Scripts
from tokenreward.schema import ItemFailure
from tokenreward_service.recovery.doorbells import Doorbells
from tokenreward_service.recovery.lost_shards import LostShard
from tokenreward_service.store.payloads import Payloads

log = logging.getLogger(__name__)

#: A shard of several items that was lost this often is split.
_SPLIT_AFTER = 2


class PoisonHunt:
    """Decides what becomes of a lost shard.

    Args:
        redis: Async client.
        payloads: Reads the entries of an item that is given up, and stores its outcome.
        doorbells: Announces what is queued again.
        max_attempts: Workers that a single item may take down before it gets an error.
    """

    def __init__(self, redis: Any, payloads: Payloads, doorbells: Doorbells, max_attempts: int) -> None:
        self._redis = redis
        self._payloads = payloads
        self._doorbells = doorbells
        self._max_attempts = max_attempts
        self._scripts = Scripts(redis)

    async def take_back(self, lost: LostShard) -> None:
        """Queue a lost shard again, whole or in halves, or give its only item up.

        Nothing happens if its worker does not hold it any more.
        """
        text = await self._scripts.requeue(args=[lost.shard, lost.worker, 1])
        if not text:
            return
        await self._redis.hincrby(keys.COUNTERS, "recoveries", 1)
        requeued = parse_record(Requeued, text)
        items = sum(member.count for member in requeued.members)
        if items == 1 and requeued.attempts >= self._max_attempts:
            await self._give_up(lost.shard, requeued.members[0], requeued.attempts)
        elif items > 1 and requeued.attempts >= _SPLIT_AFTER:
            await self._split(lost.shard, requeued)
        else:
            await self._doorbells.ring(requeued.fp, [lost.shard])

    async def _split(self, shard: str, requeued: Requeued) -> None:
        # One attempt each is remembered: the next worker that a half takes down splits it again.
        shards = [Shard(fp=requeued.fp, members=list(half), attempts=1) for half in halves(requeued.members)]
        names = [half.id for half in shards]
        log.warning(
            "shard %s took %d workers down: split into %s", shard, requeued.attempts, names, extra={"shard": shard}
        )
        if await self._scripts.split(args=[shard, dump_shards(shards)]):
            await self._doorbells.ring(requeued.fp, names)

    async def _give_up(self, shard: str, member: JobSlice, attempts: int) -> None:
        failure = ItemFailure(code="poison", message=f"scoring this item took {attempts} workers down")
        log.error(
            "item %d of job %s took %d workers down: it gets an error",
            *(member.start, member.job, attempts),
            extra={"shard": shard, "job": member.job},
        )
        try:
            entries = await self._payloads.entries(member)
        except Corrupt:
            entries = [Entry(None)]
        blob = await self._payloads.store_blob(member.job, pack_failures(member.start, entries, failure))
        await self._scripts.commit(args=commit_args(shard, [(member, 1, 0, blob)]))


def halves(members: Sequence[JobSlice]) -> Sequence[Sequence[JobSlice]]:
    """The members of a shard in two halves; a single member of several items is cut in two itself."""
    if len(members) > 1:
        return members[: len(members) // 2], members[len(members) // 2 :]
    return [[half] for half in members[0].halves()]
