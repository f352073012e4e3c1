"""The probes of the workers with one fingerprint, in the job store."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tokenreward.protocol import keys

#: A probe counts for so many seconds before its worker's record is there.
_STARTING_SECONDS = 60.0
_TIME = np.dtype("<f8")


class Probes:
    """One worker's view of them. client: a sync redis-py client."""

    def __init__(self, client: Any, worker: str, fingerprint: str) -> None:
        self._client = client
        self._worker = worker
        self._key = keys.probes(fingerprint)
        self._first_key = keys.first_rows(fingerprint)

    def publish(self, probe: NDArray[np.float32]) -> None:
        """Say what this worker made of its probe, float32 `[N]`."""
        stored = np.array([self._now()], dtype=_TIME).tobytes() + probe.astype("<f4").tobytes()
        self._client.hset(self._key, self._worker, stored)

    def first(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the first worker with the fingerprint got of a fixed text; `rows`, float32 `[T]`, if it is this.

        They are kept for as long as the store: a model that is swapped while no worker runs is noticed as well.
        """
        self._client.set(self._first_key, rows.astype("<f4").tobytes(), nx=True)
        return np.frombuffer(self._client.get(self._first_key), dtype="<f4").astype(np.float32)

    def take_back(self) -> None:
        """Say nothing more."""
        self._client.hdel(self._key, self._worker)

    def others(self) -> dict[str, NDArray[np.float32]]:
        """Return the probes of the other live workers, by their ids; those of workers that are gone are removed."""
        now = self._now()
        found = {}
        for name, stored in self._client.hgetall(self._key).items():
            worker = name.decode("utf-8", "replace")
            if worker == self._worker or len(stored) < _TIME.itemsize or len(stored) % 4:
                continue
            published = float(np.frombuffer(stored[: _TIME.itemsize], dtype=_TIME)[0])
            if now - published < _STARTING_SECONDS or self._client.exists(keys.worker(worker)):
                found[worker] = np.frombuffer(stored[_TIME.itemsize :], dtype="<f4").astype(np.float32)
            else:
                self._client.hdel(self._key, name)
        return found

    def _now(self) -> float:
        seconds, micros = self._client.time()
        return float(seconds) + float(micros) / 1e6
