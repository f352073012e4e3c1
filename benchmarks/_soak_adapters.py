"""Adapters that are replaced and deleted under load, and the version that each accepted job is pinned to."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.harness.adapters import write_adapter
from benchmarks.harness.stack import http

MODEL, NAME = "synthetic", "dpo"
#: The options of a job that an adapter scores one branch of.
ADAPTED: dict[str, Any] = {"template": "opposite", "models": {"better": NAME}}


class AdapterFaults:
    """Replaces and deletes one adapter, always in the same folder, as a training run does.

    Args:
        url: Gives the address of a service; it is asked before every request.
        folder: Where the adapter is written.
        dice: Draws the adapters' weights.

    Attributes:
        pinned: The version that each accepted job is pinned to.
        faults: How often the adapter was replaced or deleted.
        wrong_versions: Jobs that were pinned to a version that nobody has ever put.
    """

    def __init__(self, url: Callable[[], str], folder: Path, dice: random.Random) -> None:
        self.pinned: dict[str, str] = {}
        self.faults = self.wrong_versions = 0
        self._url = url
        self._folder = folder
        self._random = dice
        self._lock = threading.Lock()
        self._written: set[str] = set()

    @property
    def _adapters(self) -> str:
        return f"{self._url()}/v1/models/{MODEL}/adapters"

    def replace_adapter(self) -> None:
        with self._lock:  # one training run saves one step after the other
            self._written.add(write_adapter(self._folder, self._random.getrandbits(32)))
            try:
                http.put(f"{self._adapters}/{NAME}", json={"source": str(self._folder)}, timeout=60)
                self.faults += 1
            except httpx2.TransportError:  # the API is being killed, too
                pass

    def delete_adapter(self) -> None:
        with self._lock:
            try:
                http.delete(f"{self._adapters}/{NAME}", timeout=20)
                self.faults += 1
            except httpx2.TransportError:
                return
        self.replace_adapter()

    def accepted(self, job: dict[str, Any]) -> None:
        """Note what a job is pinned to."""
        uses = job["provenance"]["models"]
        (version,) = {use["fingerprint"]["adapter_version"] for use in uses if "better" in use["branches"]}
        self.pinned[job["id"]] = version
        self.wrong_versions += version not in self._written
