"""Where a worker takes in adapters: those of its settings when it starts, and those that are put while it runs."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import redis

from tokenreward.checkpoint.adapter import AdapterFiles
from tokenreward.errors import BadInput
from tokenreward.protocol.adapter_records import AdapterAnswer, AdapterRecord
from tokenreward.protocol.records import Corrupt
from tokenreward_workers.model_files.adapters import AdapterShelf
from tokenreward_workers.store.adapter_registry import AdapterRegistry

log = logging.getLogger(__name__)

_WAIT_SECONDS = 2
_PAUSE_SECONDS = 1.0


class AdapterDesk(threading.Thread):
    """Answers the orders to look at an adapter, one after the other.

    Reading and hashing files needs neither the engine nor its thread; the engine loads a version when it scores with
    it.
    """

    def __init__(self, shelf: AdapterShelf, registry: AdapterRegistry, model: str) -> None:
        """Make the thread.

        Args:
            shelf: Keeps the adapters of the model.
            registry: Where they become known.
            model: The name of the model.
        """
        super().__init__(name="adapters", daemon=True)
        self._shelf = shelf
        self._registry = registry
        self._model = model
        self._stopping = threading.Event()

    def announce(self, name: str, source: str, files: AdapterFiles) -> AdapterRecord:
        """Make an adapter that the shelf has taken known as the newest of its name."""
        record = AdapterRecord(
            name=name,
            version=files.version,
            model=self._model,
            source=str(Path(source).resolve()) if Path(source).is_dir() else source,
            rank=files.rank,
            base=files.base,
            since=0.0,
        )
        return self._registry.add(record)

    def run(self) -> None:
        """Answer orders until stopped."""
        while not self._stopping.is_set():
            try:
                self._answer_one()
            except Corrupt as error:
                log.error("%s", error)
            except (redis.RedisError, OSError) as error:
                log.warning("adapters: %s", error)
                self._stopping.wait(_PAUSE_SECONDS)

    def stop(self) -> None:
        """End the thread, after the order at hand."""
        self._stopping.set()
        self.join(_WAIT_SECONDS + 1)

    def _answer_one(self) -> None:
        order = self._registry.next_order(_WAIT_SECONDS)
        if order is None:
            return
        try:
            record = self.announce(order.name, order.source, self._shelf.take(order.source))
            answer = AdapterAnswer(record=record)
            log.info("adapter %s is %s@%s", order.source, record.name, record.version)
        except BadInput as error:
            answer = AdapterAnswer(refusal=str(error))
        self._registry.answer(order, answer)
