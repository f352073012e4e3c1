"""The adapters of served models: the versions that jobs may name, and the orders to workers to look at a new one."""

from __future__ import annotations

import logging
import time
from typing import Any

from tokenreward.protocol import keys
from tokenreward.protocol.adapter_records import AdapterAnswer, AdapterOrder, AdapterRecord
from tokenreward.protocol.records import Corrupt, parse_record
from tokenreward.schema import Fingerprint

log = logging.getLogger(__name__)

#: An order that no worker took within so many seconds is forgotten.
_ORDER_TTL = 120
_BLOCK_SECONDS = 2


class Adapters:
    """Reads and changes what is known of adapters. redis: async client."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def of(self, model: Fingerprint) -> list[AdapterRecord]:
        """Every version that a model has, the newest first."""
        found = []
        for text in (await self._redis.hgetall(_key(model))).values():
            try:
                found.append(parse_record(AdapterRecord, text))
            except Corrupt as error:
                log.warning("%s", error)
        return sorted(found, key=lambda record: record.since, reverse=True)

    async def order(self, model: Fingerprint, name: str, source: str, seconds: float) -> AdapterAnswer | None:
        """Let a worker read an adapter and make it known.

        Args:
            model: Any of its workers may do it.
            name: What the adapter is to be called.
            source: Where its files are.
            seconds: How long to wait.

        Returns:
            What became of it; None if no worker has answered yet. It may still do so.
        """
        order = AdapterOrder(name=name, source=source)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(keys.adapter_orders(model.digest), order.model_dump_json())
            pipe.expire(keys.adapter_orders(model.digest), _ORDER_TTL)
            await pipe.execute()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # A blocking call has to be shorter than the connection's timeout.
            found = await self._redis.blpop([keys.adapter_answer(order.id)], timeout=_BLOCK_SECONDS)
            if found is not None:
                return parse_record(AdapterAnswer, found[1])
        return None

    async def forget(self, model: Fingerprint, records: list[AdapterRecord]) -> None:
        """Take versions off the list. Jobs that are pinned to one are still scored with it."""
        await self._redis.hdel(_key(model), *(record.field for record in records))


def named(records: list[AdapterRecord], name: str) -> list[AdapterRecord]:
    """Return the versions that `name` or `name@version` stands for, in their order."""
    plain, at, version = name.partition("@")
    return [record for record in records if record.name == plain and (not at or record.version == version)]


def _key(model: Fingerprint) -> str:
    return keys.adapters(model.model, model.model_hash)
