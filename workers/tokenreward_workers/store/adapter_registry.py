"""A worker's side of what is said of adapters in the job store: orders to look at one, and the versions there are."""

from __future__ import annotations

from typing import Any

from tokenreward.protocol import keys
from tokenreward.protocol.adapter_records import AdapterAnswer, AdapterOrder, AdapterRecord
from tokenreward.protocol.records import parse_record
from tokenreward.schema import Fingerprint

#: Nobody waits for an answer longer than this many seconds.
_ANSWER_TTL = 120


class AdapterRegistry:
    """The adapters of the model that a worker serves. client: a sync redis-py client. Threads may share it."""

    def __init__(self, client: Any, model: Fingerprint) -> None:
        self._client = client
        self._model = model

    def next_order(self, seconds: int) -> AdapterOrder | None:
        """Wait for an order, for so many seconds; None if none came. Raises Corrupt."""
        found = self._client.blpop([keys.adapter_orders(self._model.digest)], timeout=seconds)
        return None if found is None else parse_record(AdapterOrder, found[1])

    def answer(self, order: AdapterOrder, answer: AdapterAnswer) -> None:
        """Answer an order."""
        key = keys.adapter_answer(order.id)
        with self._client.pipeline(transaction=True) as pipe:
            pipe.rpush(key, answer.model_dump_json())
            pipe.expire(key, _ANSWER_TTL)
            pipe.execute()

    def add(self, record: AdapterRecord) -> AdapterRecord:
        """Make a version known as the newest of its name. Returns it with the time, which is Redis'."""
        seconds, micros = self._client.time()
        dated = record.model_copy(update={"since": seconds + micros / 1e6})
        key = keys.adapters(self._model.model, self._model.model_hash)
        self._client.hset(key, dated.field, dated.model_dump_json())
        return dated
