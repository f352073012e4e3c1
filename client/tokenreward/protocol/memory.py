"""How full the job store is: one rule for the service, which refuses work, and for the workers, which stop caching.

The memory that may be used is the service's setting `max_store_bytes`, or else Redis' own `maxmemory`. Workers do not
know the service's settings, so the service publishes that one in Redis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenreward.protocol import keys


@dataclass(frozen=True, slots=True)
class StoreMemory:
    """The memory of the job store.

    Attributes:
        used: Bytes that Redis uses.
        maxmemory: Redis' own limit in bytes; 0 where it has none.
        store_limit: The service's limit in bytes; 0 where its settings have none.
    """

    used: int
    maxmemory: int = 0
    store_limit: int = 0

    @property
    def share(self) -> float:
        """The used share of the memory that may be used; 0 where nothing limits it."""
        limit = self.store_limit or self.maxmemory
        return self.used / limit if limit else 0.0


def read_memory(client: Any) -> StoreMemory:
    """The store's memory, with the limit that the service published. client: a sync redis-py client."""
    with client.pipeline(transaction=False) as pipe:
        _ask(pipe)
        return _parsed(pipe.execute())


async def read_memory_async(client: Any) -> StoreMemory:
    """As `read_memory`, with an async redis-py client."""
    async with client.pipeline(transaction=False) as pipe:
        _ask(pipe)
        return _parsed(await pipe.execute())


def store_share(client: Any) -> float:
    """The used share of the memory that the store may use; 0 where nothing limits it. client: a sync client."""
    return read_memory(client).share


def _ask(pipe: Any) -> None:
    pipe.info("memory")
    pipe.get(keys.STORE_LIMIT)


def _parsed(answers: Sequence[Any]) -> StoreMemory:
    memory, published = answers
    return StoreMemory(
        used=int(memory["used_memory"]),
        maxmemory=int(memory.get("maxmemory") or 0),
        store_limit=int(published) if published is not None and published.isdigit() else 0,
    )
